"""`/integrations`: connections of an organization, and all that is below one; contract: docs/api.md."""

from __future__ import annotations

import flask
import functions_framework

from shared.deliveries.routes import routes as deliveries
from shared.devices.routes import routes as devices
from shared.firmware.routes import routes as firmware
from shared.integrations.codecs.routes import routes as codecs
from shared.integrations.routes import routes as connections
from shared.jobs.routes import routes as jobs
from shared.messages.routes import routes as messages
from shared.monitoring.routes import routes as monitoring
from shared.runtime.web.routing import Router

router = Router(
    "integrations", connections, codecs, deliveries, messages, devices, jobs, firmware, monitoring
)


@functions_framework.http
def integrations(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)
