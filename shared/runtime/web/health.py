"""`python -m shared.runtime.web.health`: 0 where the function of this container answers, for Docker's HEALTHCHECK."""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection

SECONDS = 4.0


def main() -> int:
    """Ask `/health` on PORT."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8080), timeout=SECONDS)
    try:
        connection.request("GET", "/health")
        return int(connection.getresponse().status != HTTPStatus.OK)
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
