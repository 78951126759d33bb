"""JSON bodies, and events, through a JMESPath mapping."""

from __future__ import annotations

import json
from typing import Any

from shared.codecs.sandbox.format import Format, Parsed, read_json
from shared.codecs.sandbox.mapping import NO_BODY, Mapping
from shared.codecs.sandbox.program import Body, CodecError, SourceError, write_json


class Kind(Format):
    """The source is the mapping, which can't be empty."""

    def __init__(self, source: str) -> None:
        if not source.strip():
            raise SourceError("it is empty; write a JMESPath expression")
        super().__init__(source)

    def read(self, body: Body) -> Parsed:
        """The JSON in a body."""
        return Parsed(read_json(body.content))

    def encode(self, data: str, f_port: int | None, _name: str | None, topic: str | None) -> str:
        """What the mapping makes of the data, as JSON."""
        made = self._map(json.loads(data), Body(b"", f_port, topic, None))
        return write_json({"hex": write_json(made).encode().hex()})

    def encode_event(self, event: str) -> str:
        """What the mapping makes of the event: text as it is, anything else as JSON."""
        made = self._map(json.loads(event))
        return write_json({"text": made} if isinstance(made, str) else {"json": made})

    def _map(self, document: Any, body: Body = NO_BODY) -> Any:
        mapping = self.mapping or Mapping("@")
        made = mapping.apply(document, body)
        if made is None:
            raise CodecError("The mapping gives nothing for this.")
        return made
