"""`/metrics`: what Prometheus scrapes, for whoever brings the operator's secret; to others there is no such thing."""

from __future__ import annotations

import hmac
import threading
import time

from shared.monitoring.exposition import MEDIA_TYPE, write_exposition
from shared.runtime.database.client import as_service
from shared.runtime.errors import NotFound
from shared.runtime.settings import load_settings
from shared.runtime.web.call import Call
from shared.runtime.web.routes import Routes

KEPT_SECONDS = 10.0
"""How long a text holds in this process: however many scrape, the database is asked so often."""

routes = Routes()


@routes.get("/", public=True, proofs=("metrics_secret",), media=MEDIA_TYPE, problems=(NotFound,))
def scrape_metrics(call: Call) -> str:
    """Read the metrics of all integrations and of the platform, in Prometheus' text format."""
    wanted = load_settings().metrics_secret
    bearer = call.request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if not wanted or not hmac.compare_digest(bearer.encode(), wanted.encode()):
        raise NotFound("metrics has no such path.")
    return _scrape.read()


class Scrape:
    """The text of a moment ago; of those that come while it is made anew each waits for it."""

    def __init__(self) -> None:
        self._made = float("-inf")
        self._text = ""
        self._making = threading.Lock()

    def read(self) -> str:
        """The text, at most `KEPT_SECONDS` old. Errors: Unavailable."""
        with self._making:
            if time.monotonic() - self._made > KEPT_SECONDS:
                self._text = write_exposition(as_service().call("read_platform_metrics"))
                self._made = time.monotonic()
            return self._text


_scrape = Scrape()
