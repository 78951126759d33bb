"""Golioth's firmware objects, where what comes is not what its document says."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider.values import Item
from shared.providers.golioth.firmware_objects import read_artifact, read_deployment


@pytest.mark.parametrize("size", ["9" * 5_000, "9" * 19, "-1", None, [], True])
def test_a_size_that_is_no_number_of_bytes_counts_as_untold(size: Any) -> None:
    assert read_artifact({"id": "a", "size": size}).size is None


@pytest.mark.parametrize("value", [5, True, "a", {"a": 1}, None, [5, {}, None]])
def test_a_list_of_texts_that_is_none_counts_as_empty(value: Any) -> None:
    assert Item({"texts": value}).texts("texts") == ()
    assert read_deployment({"deploymentId": "d", "artifactIds": value}).artifact_ids == ()
