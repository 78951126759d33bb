"""`/integrations/{id}/metrics`: what an integration did, as a chart draws it."""

from __future__ import annotations

from shared.monitoring import bodies
from shared.runtime.errors import InvalidRange
from shared.runtime.web.call import Call
from shared.runtime.web.routes import Routes

routes = Routes()


@routes.get("/{id}/metrics", problems=(InvalidRange,))
def get_metrics(call: Call, query: bodies.MetricsQuery) -> bodies.MetricsSeries:
    """Read what an integration did, by the minute, hour or day: at most 1,500 points."""
    series: bodies.MetricsSeries = call.database.call_unread(
        "read_metrics",
        p_integration_id=call.integration_id,
        p_from=query.from_,
        p_to=query.to,
        p_step=query.step,
    )
    return series
