"""What one session hands to the next, in `Batch.state`, and the notes for the activity log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from shared.provider import Notebook, NotebookState
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.redelivery import WINDOW_MESSAGES, Window


class SavedState(NotebookState, total=False):
    """The state as JSON, as it is saved with the messages it speaks of. `key` names the broker's session."""

    protocol: int | None
    had_session: bool
    subscribed: dict[str, int]
    copies: bool
    unsettled: int
    window: list[tuple[str, int, str]]
    unheard: int
    codec: dict[str, Any]
    certificates: dict[str, int]
    """When they end, in seconds since 1970: what metrics say of them is read here, of any provider."""


class Memory(Notebook):
    """The saved state, opened. `changed` says that it differs from what was saved last.

    `unsettled` is how many of the messages named last the broker may send again, as far as its answers tell. Without
    `knows_again` its packet ids and duplicate flags say nothing: what it sends again gets another name.
    """

    def __init__(self, key: str, state: Mapping[str, object], *, knows_again: bool = True) -> None:
        known = cast("SavedState", state if state.get("key") == key else {})
        super().__init__(known, key)
        self.protocol = known.get("protocol")
        self.had_session = bool(known.get("had_session"))
        self.subscribed = dict(known.get("subscribed") or {})
        self.window = Window(known.get("window"), known.get("unheard"))
        self.unsettled = max(0, known.get("unsettled") or 0)
        self.codec_state = dict(known.get("codec") or {})
        """What the codec remembered when the session began; what it does now is added to the batches it decoded."""
        self._certificates = dict(known.get("certificates") or {})
        self._knows_again = knows_again
        self._copies_left = bool(known.get("copies"))
        self._has_subscribed = False
        self.was_copy = False
        self._is_first = False
        self._forgotten = 0

    def begin_connection(self, protocol: int, *, has_subscribed: bool, forgotten: int = 0) -> None:
        """A connection is open; where it subscribed to anything, the broker sends retained copies.

        `forgotten`: as many messages as are stored, will be sent again, and are older than the window.
        """
        self.changed |= protocol != self.protocol
        self.protocol = protocol
        self._has_subscribed = has_subscribed
        self._is_first = True
        self._forgotten = forgotten

    def name_publish(self, publish: Publish) -> str:
        """The event id of what was published: the old one for what comes again, else a new one."""
        self.was_copy = publish.retain and self._expects_copies(publish)
        if self.was_copy:
            return self.window.find_copy(publish.topic, publish.body)
        self._copies_left = False
        if not publish.qos:
            return self.window.name_unacknowledged()
        if self._is_first:
            self._is_first = False
            self._find_unsettled(publish)
        is_again = publish.duplicate and self._knows_again
        return (self._name_again(publish) if is_again else None) or self._name_new(publish)

    def settle(self, count: int, place: int) -> bool:
        """The broker has heard that the oldest `count` of the unsettled messages are acknowledged, up to `place`.

        Whether that is news.
        """
        self.unsettled = max(0, self.unsettled - count)
        return self.window.hear(place)

    @property
    def exceeds_window(self) -> bool:
        """Whether the broker may send again more than the window holds: it keeps to no limit."""
        return self._knows_again and self.unsettled > WINDOW_MESSAGES

    def count_since(self, publish: Publish) -> int:
        """How many messages of the window came since `publish` did first; 0 where it is not in the window."""
        is_again = publish.duplicate and self._knows_again
        return self.window.count_since(*_name_packet(publish)) if is_again else 0

    def _find_unsettled(self, publish: Publish) -> None:
        """Where the broker goes on says what it has heard of the acknowledgements on connections before."""
        self.unsettled = self._forgotten + len(self.window) if self._forgotten else self.count_since(publish)

    def _name_again(self, publish: Publish) -> str | None:
        known = self.window.find_again(*_name_packet(publish))
        if known is None and self._forgotten:
            self._forgotten -= 1
            return self.window.name_forgotten()
        self._forgotten = 0
        return known

    def _name_new(self, publish: Publish) -> str:
        self._forgotten = 0
        self.unsettled += 1
        return self.window.name_new(*_name_packet(publish))

    def _expects_copies(self, publish: Publish) -> bool:
        """Whether a message with the retain flag is a copy that subscribing brought, which may have come before.

        Copies come after a SUBSCRIBE, or as the rest of those in the next session. Otherwise a broker has no
        business setting the flag; amqtt sets it on all that it stored while we were away, and these are new.
        """
        return self._has_subscribed or self._copies_left or not publish.qos

    def keep_ends(self, certificates: Mapping[str, int]) -> None:
        """When certificates end, by what they are of."""
        self.changed |= certificates != self._certificates
        self._certificates = dict(certificates)

    def save(self) -> SavedState:
        """The state as JSON, at most about 35 kB. It speaks of every message named so far, so those go with it."""
        return {
            **self.save_notebook(),
            "protocol": self.protocol,
            "had_session": self.had_session,
            "subscribed": dict(self.subscribed),
            "copies": self.was_copy,
            "unsettled": self.unsettled,
            "window": self.window.save(),
            "unheard": self.window.unheard,
            "codec": self.codec_state,
            "certificates": self._certificates,
        }


def _name_packet(publish: Publish) -> tuple[int, str, bytes]:
    return publish.packet_id, publish.topic, publish.body
