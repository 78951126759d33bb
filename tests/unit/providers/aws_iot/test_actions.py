"""Each call is the one of AWS's own service models."""

from __future__ import annotations

import re

import botocore.loaders
import pytest

from shared.providers.aws_iot.actions import ACTIONS

MODELS = {
    place: botocore.loaders.Loader().load_service_model(name, "service-2")
    for place, name in (("iot", "iot"), ("data", "iot-data"))
}
CALLS = [name for name, action in ACTIONS.items() if action.place in MODELS]


@pytest.mark.parametrize("name", CALLS)
def test_a_call_has_the_method_and_the_path_of_the_model(name: str) -> None:
    action = ACTIONS[name]

    asked = MODELS[action.place]["operations"][name.partition(":")[2]]["http"]

    path = re.sub(r"\{[^}]*\}", "{}", asked["requestUri"])
    assert (action.method, action.path) == (asked["method"], path)
