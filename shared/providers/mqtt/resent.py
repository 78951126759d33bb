"""What a broker sends again that is older than the redelivery window.

That takes one which sends more at once than it was allowed to: mosquitto up to 2.0.12 does with every stored queue,
others where their limit is switched off. While it sends, it may not read our acknowledgements, so that after a kill of
ours tens of thousands of stored messages come again.

A broker sends again in the order in which it sent first (MQTT 5, section 4.6). So what it sends again before the oldest
message of the window was named before that one, and is stored.
"""

from __future__ import annotations

from shared.provider import Deadline
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.saved_state import Memory

SEARCH_SECONDS = 20.0
QUIET_SECONDS = 0.25


def count_forgotten(connection: Connection, memory: Memory) -> int:
    """How many messages come again before the oldest one of the window; 0 where that one does not come.

    Nothing is acknowledged, so that all of it comes once more on the next connection.
    """
    count, deadline, answer = 0, Deadline(SEARCH_SECONDS), connection.ask_settled()
    while not deadline.expired:
        received = connection.receive(QUIET_SECONDS)
        for publish in received:
            if publish.qos and not publish.retain:
                since = memory.count_since(publish)
                if since or not publish.duplicate or count == memory.unsettled:
                    return count if since == len(memory.window) else 0
                count += 1
        if not received and connection.settled >= answer:
            break
    return 0
