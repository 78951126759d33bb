"""LoRaWAN: what network servers say of devices, as messages: uplinks by the server's own decoding, or else by a codec.

Their senders try an event once. So what no decoder is free for is stored undecoded, to be decoded by a replay.
"""

from __future__ import annotations

import base64
import binascii
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from shared.codecs.codec import Codec
from shared.provider.callback import show_address
from shared.provider.check import Check, run_checks
from shared.provider.codec_fields import CodecFields, CodecId
from shared.provider.decode import StoredBody
from shared.provider.decoding.coded import CodedBody, decode_bodies, keep_raw
from shared.provider.decoding.readers import judge_kind
from shared.provider.form import Group
from shared.provider.messages import Message, encode_raw
from shared.provider.parse import PushedRequest, Receiver
from shared.provider.values import Item
from shared.runtime.errors import InvalidConfig, Unauthenticated

MOST_CODECS, NAME_LIMIT = 100, 200
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
MOST_GATEWAYS = 20
"""Gateways that are kept of an uplink, those that heard it best first."""

UNDECODED = "Neither the network server nor a codec decodes it: choose a codec for the device, then replay what failed."
FREE_LATER = "No decoder was free; replay what failed."


def _check_codecs(codecs: Any) -> Any:
    """Before what is within is read, for names may be of any characters, and are no fields."""
    if not isinstance(codecs, dict):
        return codecs
    if len(codecs) > MOST_CODECS or not all(0 < len(str(name)) <= NAME_LIMIT for name in codecs):
        raise ValueError(
            f"at most {MOST_CODECS} codecs, each for a profile or a device whose name has 1 to {NAME_LIMIT} characters"
        )
    if not all(isinstance(name, str) and UUID.fullmatch(str(codec)) for name, codec in codecs.items()):
        raise ValueError("each value is the id of a codec; GET /integrations/codecs lists them")
    return codecs


@dataclass(frozen=True, slots=True)
class Frame:
    """An uplink's own bytes, and what the server made of them; `names` are those that a codec may be chosen by."""

    data: bytes
    f_port: int | None
    decoded: Mapping[str, Any]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LorawanEvent:
    """What one event says without a codec; `frame` is there where a device has sent bytes."""

    known: Message
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Reception:
    """How one gateway heard an uplink: dBm and dB."""

    gateway: str
    rssi: float | None
    snr: float | None


class LorawanReceiver(CodecFields, Receiver, defer_build=True):
    """A provider of a LoRaWAN network server, which pushes one event a request."""

    groups: ClassVar[tuple[Group, ...]] = (Group("Codec", ("codec", "device_codecs")),)
    read_in_sql: ClassVar[frozenset[str]] = frozenset({"device_codecs"})

    device_codecs: Annotated[dict[str, CodecId], BeforeValidator(_check_codecs)] = Field(
        default_factory=dict,
        examples=[{"dragino/lht65": "4f9a2a34-8c1e-4a0e-9a39-0d3f6f6f2f10"}],
    )
    """Codecs (ids) of device profiles or single devices, by their name or id, in place of the one for all."""

    @property
    def has_codecs(self) -> bool:
        """Whether an uplink may have to be decoded by a codec."""
        return self.codec is not None or bool(self.device_codecs)

    @abstractmethod
    def read_event(self, topic: str | None, body: bytes) -> LorawanEvent:
        """What one event says, as the server writes it; no input raises but for Unauthenticated."""

    def name_topic(self, request: PushedRequest) -> str | None:  # noqa: ARG002 - for those who override it
        """What the request calls its event, where the body does not."""
        return None

    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages of the event."""
        return self.make_messages(self.read_event(self.name_topic(request), request.body), request.body)

    def parse_undecoded(self, request: PushedRequest) -> list[Message]:
        """The same without a codec."""
        event, body = self.read_event(self.name_topic(request), request.body), request.body
        if event.frame and event.frame.data and not event.frame.decoded:
            return [_refuse(event.known, body, FREE_LATER)]
        return self.make_messages(event, body)

    def check_receiver(self) -> Iterator[Check]:
        """Whether its codecs are there, and where the server is to post to."""
        return run_checks(
            [*([("codec", self._open_codecs)] if self.has_codecs else []), ("receive", self._tell_address)]
        )

    def _open_codecs(self) -> str:
        codecs = [self.find_codec("device_codecs", each) for each in sorted(set(self.device_codecs.values()))]
        for each in [*codecs, *([self.open_codec("codec")] if self.codec else [])]:
            each.check()
        return "The codecs compile."

    def _tell_address(self) -> str:
        return f"{self.label} posts to {show_address(self.identity)}, with webhook_secret."

    def make_messages(self, event: LorawanEvent, body: bytes) -> list[Message]:
        """The messages of an event, which keep its `body`. Errors: Unavailable where no decoder gets free."""
        if event.known.error:
            return [event.known]
        known = _keep(event.known, body)
        if (frame := event.frame) is None or not (frame.data or frame.decoded):
            return [known]
        if frame.decoded:
            return [
                _tell_decoder(replace(known, kind=judge_kind(dict(frame.decoded))), "server", frame.decoded)
            ]
        return self._decode_frame(known, frame, body)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """Events as they came, by today's codecs."""
        return [self._decode_stored(each) for each in stored]

    def _decode_stored(self, stored: StoredBody) -> list[Message]:
        return self.read_stored(stored.topic, stored.body, stored.event_id)

    def read_stored(self, topic: str | None, body: bytes, event_id: str) -> list[Message]:
        """As pushed ones, but nothing is reported; one of another application, as of a config before, fails alone."""
        try:
            event = self.read_event(topic, body)
        except Unauthenticated as foreign:
            return [Message.undecoded(body, foreign.detail, event_id=event_id, topic=topic)]
        return self.make_messages(replace(event, known=replace(event.known, report=None)), body)

    def _decode_frame(self, known: Message, frame: Frame, body: bytes) -> list[Message]:
        try:
            codec = self.choose_codec(frame.names)
        except InvalidConfig as missing:
            return [_refuse(known, body, missing.explain(""))]
        if codec is None:
            return [_refuse(known, body, UNDECODED)]
        coded = CodedBody(frame.data, _tell_decoder(known, "codec", None), None, frame.f_port)
        (messages,) = decode_bodies(codec, [coded])
        return [_keep(messages[0], body, known), *messages[1:]] if messages else []

    def choose_codec(self, names: Sequence[str]) -> Codec | None:
        """That of the first of `names` that has one, else the one for all. Errors: InvalidConfig, Unavailable."""
        for name in names:
            if codec_id := self.device_codecs.get(name):
                return self.find_codec("device_codecs", codec_id)
        return self.open_codec("codec") if self.codec else None


def read_bytes(value: object) -> bytes:
    """The bytes that base64 says; none where it is malformed or absent."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        return b""


def describe_gateways(receptions: Sequence[Reception]) -> dict[str, object]:
    """Which gateways have heard it, those that did best first; rssi and snr are those of the first."""
    best = sorted(receptions, key=_rank, reverse=True)[:MOST_GATEWAYS]
    if not best:
        return {}
    gateways = [{"id": each.gateway, "rssi": each.rssi, "snr": each.snr} for each in best]
    return {"rssi": best[0].rssi, "snr": best[0].snr, "gateways": gateways}


def list_gateways(receptions: Sequence[Reception]) -> list[str]:
    """The ids of those that have heard it."""
    return sorted({each.gateway for each in receptions})[:MOST_GATEWAYS]


def describe_modulation(lora: Item, factor: str, coding: str | None) -> dict[str, object]:
    """The data rate of LoRa, as `SF7BW125` too; `factor` is what the server calls the spreading factor."""
    spreading, bandwidth = lora.number(factor), lora.number("bandwidth")
    rate = f"SF{spreading}BW{int(bandwidth) // 1000}" if spreading and bandwidth else None
    told = {"data_rate": rate, "spreading_factor": spreading, "bandwidth": bandwidth, "coding_rate": coding}
    return {name: value for name, value in told.items() if value is not None}


def keep_undecoded(body: bytes, event_id: str, reason: str) -> LorawanEvent:
    """What stands for a body that is no event."""
    return LorawanEvent(Message.undecoded(body, reason, event_id=event_id))


def _rank(reception: Reception) -> tuple[float, float]:
    missing = float("-inf")
    return (
        missing if reception.snr is None else reception.snr,
        missing if reception.rssi is None else reception.rssi,
    )


def _keep(message: Message, body: bytes, known: Message | None = None) -> Message:
    raw, raw_encoding = encode_raw(body)
    told = known or message
    # A codec may say that it is of another device, of which nothing is reported.
    report = told.report if message.device == told.device else None
    return replace(message, raw=raw, raw_encoding=raw_encoding, report=report)


def _tell_decoder(message: Message, decoder: str, payload: Any) -> Message:
    return replace(message, payload=payload, metadata={**(message.metadata or {}), "decoded_by": decoder})


def _refuse(known: Message, body: bytes, reason: str) -> Message:
    return replace(keep_raw(CodedBody(body, known), reason), report=known.report)
