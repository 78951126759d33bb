"""What tests run of the documents."""

from __future__ import annotations

import re
from pathlib import Path


def read_blocks(document: Path, language: str, section: str = "") -> list[str]:
    """The code blocks of a language, those of the section only whose heading begins with `section`."""
    text = document.read_text()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    chosen = next(part for part in parts if part.startswith(section)) if section else text
    return re.findall(rf"```{language}\n(.*?)```", chosen, re.DOTALL)
