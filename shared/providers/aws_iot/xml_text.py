"""The texts of S3's and STS's answers, which are XML."""

from __future__ import annotations

import html
import re


def find_text(text: str, name: str) -> str:
    """What stands in the first element of that name; empty where there is none.

    Not by an XML parser: of what is no answer of AWS's it would read more than there is memory for.
    """
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]).strip() if found else ""
