"""A valid config of every provider, with every secret it knows: `samples/<type>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

FOLDER = Path(__file__).parent / "samples"


def read_config(integration_type: str) -> dict[str, Any]:
    """The sample config of a type; AssertionError says which file a new provider needs."""
    file = FOLDER / f"{integration_type}.json"
    assert file.exists(), (
        f"Add a valid config with every secret of {integration_type} as {file.name} beside the others."
    )
    return dict(orjson.loads(file.read_bytes()))
