"""What a reply is read from."""

from __future__ import annotations

from typing import Protocol


class Source(Protocol):
    """The bytes of a connection."""

    @property
    def came(self) -> bytearray:
        """What came and was not taken yet."""

    @property
    def broken(self) -> bool:
        """Whether the connection broke off."""

    async def more(self) -> bool:
        """Wait until more came; False where nothing can follow."""

    async def listen(self, seconds: float) -> None:
        """Wait until more came or the connection ended, `seconds` at most."""
