"""Session: what a method gives, each message stored with where to go on, in one transaction.

A stream is followed until the deadline, and opened again where it breaks off; other methods are polled page by page.
What is read before its batch is committed is read again after a crash, from the cursor of the last commit. A stream
without a cursor can't be replayed: what comes while nobody listens is lost, which the activity log says once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shared.provider import Batch, Deadline
from shared.providers.grpc.items import ItemDecoder
from shared.providers.grpc.outbox import ItemOutbox, Reading
from shared.providers.grpc.saved_state import Memory
from shared.providers.grpc.service import open_service

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc


def run_session(grpc: Grpc, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """See Provider.session. Errors: OutsideError, InvalidConfig, Unavailable; what was committed until then stays."""
    plan = grpc.read_plan
    begun = time.monotonic()
    memory = Memory(state, plan.key, plan.first_cursor)
    with open_service(grpc.service_plan, deadline, [plan.method]) as service:
        method = service.find_method("method", plan.method)
        yield Batch(connect_ms=round((time.monotonic() - begun) * 1000, 1))
        decoder = ItemDecoder(grpc, method.name, memory.codec_state)
        outbox = ItemOutbox(decoder, memory, grpc.identity.organization_id)
        reading = Reading(plan, service, method, memory, outbox, deadline)
        try:
            if method.is_streaming:
                from shared.providers.grpc.stream import StreamReader

                yield from StreamReader(reading, grpc.service_plan).run()
            else:
                from shared.providers.grpc.poll import poll_pages

                yield from poll_pages(reading)
        finally:
            outbox.close()
