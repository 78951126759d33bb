"""What scripts/rotate-keys tells to set makes key rings that work, and shows no existing key."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

import pytest

from scripts.rotation.__main__ import describe_use, list_doubts
from scripts.rotation.advice import choose_key_id, describe_first, describe_next
from shared.runtime.vault.keys import make_key
from shared.runtime.vault.ring import SealContext, Vault

CONTEXT = SealContext("organization", "integration", "mqtt")


@pytest.mark.parametrize(
    ("ring", "chosen"),
    [
        ((), "k1"),
        (("k1",), "k2"),
        (("k2", "k1"), "k3"),
        (("k1", "k7", "other9"), "k8"),
        (("local1",), "local2"),
        (("main",), "main-2"),
        (("main-2", "main"), "main-3"),
        (("a" * 31 + "9",), "k1"),
        (("a" * 31 + "9", "k1"), "k2"),
    ],
)
def test_the_next_id_follows_those_there_are(ring: tuple[str, ...], chosen: str) -> None:
    assert choose_key_id(ring) == chosen


def evaluate(line: str, current: str) -> str:
    """INTEGRATION_KEYS as a shell sets it by this line."""
    done = subprocess.run(
        ["bash", "-c", f'{line}\nprintf %s "$INTEGRATION_KEYS"'],
        env={"INTEGRATION_KEYS": current}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_both_steps_set_rings_that_open_everything_and_the_second_seals_with_the_new_key() -> None:
    current = make_key("k1")
    sealed = Vault.from_text(current).seal({"a": 1}, CONTEXT)

    lines = re.findall(
        r"^ +(INTEGRATION_KEYS=.*)$", describe_next(make_key("k2"), in_vault=False), re.MULTILINE
    )

    rings = [Vault.from_text(evaluate(line, current)) for line in lines]
    assert [ring.key_ids for ring in rings] == [("k1", "k2"), ("k2", "k1")]
    assert [ring.open(sealed, CONTEXT) for ring in rings] == [{"a": 1}] * 2
    assert rings[0].open(rings[1].reseal(sealed, CONTEXT), CONTEXT) == {"a": 1}


def test_the_first_key_makes_a_ring() -> None:
    text = describe_first(make_key("k1"))

    (line,) = re.findall(r"^ +(INTEGRATION_KEYS=.*)$", text, re.MULTILINE)

    assert Vault.from_text(evaluate(line, "")).key_ids == ("k1",)


def test_a_person_is_asked_before_sealing_with_a_key_no_function_has_used() -> None:
    counts = (Counter(k1=3), Counter(k1=3, k2=1), Counter[str]())

    unused, used, empty = (list_doubts(count, ("k2", "k1")) for count in counts)

    assert "restarted with this key ring first" in unused[0]
    assert (used, empty) == ([], [])


def test_a_key_in_use_that_is_not_in_the_ring_is_named() -> None:
    assert describe_use("k0", ("k2", "k1")) == "missing: can't be opened"
