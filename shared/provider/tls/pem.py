"""The blocks of PEM in a text, as people paste it.

What is around the blocks is left out (comments, `Bag Attributes`, a BOM), and so is what a copy adds within them:
indentation, line ends of any kind or none, `\\n` written out, the quotes of a C string.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

DAMAGED = "it is damaged or cut off; copy the whole file again"

_MARK = re.compile(r"-----\s*(BEGIN|END) ([A-Z0-9 ]{1,40}?)\s*-----")
_WRITTEN_OUT = re.compile(r"(?<!\\)\\++[rn]")
_COPIED = re.compile(r"[\s\"'\\\ufeff\u200b\u2060]+")
_LEGACY = re.compile(
    r"Proc-Type:4,ENCRYPTEDDEK-Info:(AES-[A-Z0-9-]+,[0-9A-Fa-f]{32}|[A-Z0-9-]+,[0-9A-Fa-f]{16})(.*)"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_BEGUN_IN_BASE64 = base64.b64encode(b"-----").decode()[:6]


@dataclass(frozen=True, slots=True, repr=False)
class Block:
    """One block: its label, what is in it (DER), and of keys encrypted in the old way their DEK-Info."""

    label: str
    content: bytes
    legacy: str = ""

    def write(self) -> str:
        """As PEM, in lines of 64 characters."""
        text = base64.b64encode(self.content).decode()
        lines = [text[start : start + 64] for start in range(0, len(text), 64)]
        head = [f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {self.legacy}\n"] if self.legacy else []
        return "\n".join([f"-----BEGIN {self.label}-----", *head, *lines, f"-----END {self.label}-----", ""])


def read_blocks(text: str) -> list[Block]:
    """Every block in `text`, in their order. ValueError says in words what is wrong with one, never what it holds."""
    text = _unwrap(text)
    blocks: list[Block] = []
    label, begun = "", 0
    for mark in _MARK.finditer(text):
        if mark[1] == "BEGIN" and not label:
            label, begun = mark[2], mark.end()
        elif mark[1] == "END" and mark[2] == label:
            blocks.append(_read_block(label, text[begun : mark.start()]))
            label = ""
        elif label:
            break
    if label:
        raise ValueError(f"the line -----END …----- of one block is missing: {DAMAGED}")
    return blocks


def _unwrap(text: str) -> str:
    """`text` with line ends for those written out, and out of the base64 in which secrets are kept elsewhere."""
    packed = "".join(text.split())
    if packed.startswith(_BEGUN_IN_BASE64) and _BASE64.fullmatch(packed):
        text = _decode(packed).decode(errors="replace")
    return _WRITTEN_OUT.sub("\n", text.replace("\xa0", " "))


def _read_block(label: str, text: str) -> Block:
    bare = _COPIED.sub("", text)
    if found := _LEGACY.fullmatch(bare):
        return Block(label, _decode(found[2]), found[1])
    return Block(label, _decode(bare))


def _decode(text: str) -> bytes:
    if not _BASE64.fullmatch(text):
        raise ValueError(f"between its first and last line is something else than base64: {DAMAGED}")
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        raise ValueError(DAMAGED) from None
