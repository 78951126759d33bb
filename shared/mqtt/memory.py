"""What one session hands to the next, in `Batch.state`, and the notes for the activity log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.mqtt.stream import Publish
from shared.mqtt.window import Window
from shared.provider import Note


class Memory:
    """The saved state, opened. `changed` says that it differs from what was saved last."""

    def __init__(self, key: str, state: Mapping[str, Any]) -> None:
        known: Mapping[str, Any] = state if state.get("key") == key else {}
        self.protocol: int | None = known.get("protocol")
        self.had_session = bool(known.get("had_session"))
        self.subscribed: dict[str, int] = dict(known.get("subscribed") or {})
        self.window = Window(known.get("window"))
        self.changed = False
        self._key = key
        self._told: set[str] = set(known.get("told") or ())
        self._notes: list[Note] = []
        self._copies_left = bool(known.get("copies"))
        self._has_subscribed = False
        self._was_retained = False

    def begin_connection(self, protocol: int, *, has_subscribed: bool) -> None:
        """A connection is open; where it subscribed to anything, the broker sends retained copies."""
        self.changed |= protocol != self.protocol
        self.protocol = protocol
        self._has_subscribed = has_subscribed

    def name_publish(self, publish: Publish) -> str:
        """The event id of what was published: the old one for what comes again, else a new one."""
        if publish.retain and self._expects_copies(publish):
            self._was_retained = True
            return self.window.find_copy(publish.topic, publish.body)
        self._was_retained = False
        self._copies_left = False
        if not publish.qos:
            return self.window.name_unacknowledged()
        if publish.duplicate:
            return self.window.name_again(publish.packet_id, publish.topic, publish.body)
        return self.window.name_new(publish.packet_id, publish.topic, publish.body)

    def _expects_copies(self, publish: Publish) -> bool:
        """Whether a message with the retain flag is a copy that subscribing brought, which may have come before.

        Copies come after a SUBSCRIBE, or as the rest of those in the next session. Otherwise a broker has no
        business setting the flag; amqtt sets it on all that it stored while we were away, and these are new.
        """
        return self._has_subscribed or self._copies_left or not publish.qos

    def note(self, level: str, message: str) -> None:
        """Something for the activity log."""
        self._notes.append(Note(level, message))

    def tell_once(self, key: str, message: str) -> None:
        """A warning that is not repeated until `forget_told`."""
        if key not in self._told:
            self._told.add(key)
            self.changed = True
            self.note("warning", message)

    def forget_told(self, key: str) -> None:
        """What a warning was about is over; it would be told again."""
        if key in self._told:
            self._told.remove(key)
            self.changed = True

    @property
    def has_news(self) -> bool:
        """Whether there is something to save or tell even without messages."""
        return self.changed or bool(self._notes)

    def take_notes(self) -> list[Note]:
        """The notes since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def save(self) -> dict[str, Any]:
        """The state as JSON, at most about 25 kB. It speaks of every message named so far, so those go with it."""
        self.changed = False
        return {
            "key": self._key,
            "protocol": self.protocol,
            "had_session": self.had_session,
            "subscribed": dict(self.subscribed),
            "told": sorted(self._told),
            "copies": self._was_retained,
            "window": self.window.save(),
        }
