"""Hostile codecs through the API: each ends, leaks nothing, and leaves the next call and everybody else alone."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.local.stack import ROOT
from tests.end_to_end.integrations.test_codecs import create, new_codec, try_bodies
from tests.end_to_end.messages.test_codecs import make_http, messages_of, post
from tests.platform import Platform
from tests.stack import Stack
from tests.unit.codecs.decoding import uplink
from tests.unit.codecs.test_attacks import ENDLESS, EVERYTHING, GREEDY, POISONS, attack

pytestmark = pytest.mark.usefixtures("no_codecs")


DEADLINE = 30.0
BODIES = [{"hex": "01"}, {"hex": "02"}]
WHAT_IS_THERE = """
  const seen = new Set(), names = [];
  (function walk(o, path, depth) {
    if (o === null || !['object', 'function'].includes(typeof o) || seen.has(o) || depth > 4) return;
    seen.add(o);
    for (const name of Reflect.ownKeys(o)) {
      let value; try { value = o[name]; } catch (e) { continue; }
      names.push(path + String(name) + '=' + (typeof value === 'string' ? value : typeof value));
      walk(value, path + String(name) + '.', depth + 1);
    }
  })(globalThis, '', 0);
  return { data: { names: names.slice(0, 3000), stack: new Error().stack, self: decodeUplink.toString() } };
"""


@pytest.mark.parametrize("what", ENDLESS + GREEDY)
def test_an_attack_ends_and_harms_its_own_body_alone(admin: Platform, what: str) -> None:
    begun = time.monotonic()

    first, second = try_bodies(admin, source=attack(what), bodies=BODIES)

    assert time.monotonic() - begun < DEADLINE
    assert second["data"] == {"value": 2}
    assert first["ok"] is False or first["data"] is not None or first["messages"] is not None
    (after,) = try_bodies(admin, bodies=[{"hex": "2b"}])
    assert after["data"]["t"] == 21.5


@pytest.mark.parametrize("what", POISONS)
def test_what_one_call_poisons_reaches_no_other(admin: Platform, what: str) -> None:
    source = uplink(f"if (input.bytes[0] === 1) {{ {what} }}\n{EVERYTHING}")
    (clean,) = try_bodies(admin, source=source, bodies=[{"hex": "02"}])

    poisoned = try_bodies(admin, source=source, bodies=[{"hex": "01"}, {"hex": "02"}])
    (later,) = try_bodies(admin, source=source, bodies=[{"hex": "02"}])

    assert poisoned[1]["data"] == later["data"] == clean["data"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("function decodeUplink() {}\0", "NUL"),
        ("x" * 262_145, ""),
        ("function decodeUplink( {", "(line "),
    ],
)
def test_a_source_that_is_none_is_refused_when_it_is_saved(admin: Platform, source: str, says: str) -> None:
    reply = admin.call("POST", "/integrations/codecs", json=new_codec(admin, source=source))

    assert reply.status_code in {400, 422}
    ((field, message),) = [(error["field"], error["message"]) for error in reply.json()["errors"]]
    assert field == "source"
    assert says in message


def test_what_postgres_can_not_hold_is_replaced_and_stored(admin: Platform) -> None:
    source = "function decodeUplink() { return { data: { nul: 'a\\0b', half: '\\ud800', nan: NaN } }; }"
    integration_id, proof = make_http(admin, codec=create(admin, source=source)["id"])

    reply = post(admin, integration_id, b"x", proof)

    assert reply.json()["stored"] == 1
    (row,) = messages_of(admin, integration_id)
    assert row["payload"] == {"nul": "a\ufffdb", "half": "\ufffd", "nan": None}
    assert row["remark"]


def test_a_result_of_ten_megabytes_is_not_kept_and_the_body_is(admin: Platform) -> None:
    source = "function decodeUplink() { return { data: 'x'.repeat(1e7) }; }"
    integration_id, proof = make_http(admin, codec=create(admin, source=source)["id"])

    reply = post(admin, integration_id, b"the body", proof)

    assert reply.json()["failed"] == 1
    (row,) = messages_of(admin, integration_id)
    assert (row["payload"], row["raw"]) == (None, "the body")


def test_nothing_of_the_process_shows(admin: Platform, stack: Stack) -> None:
    (result,) = try_bodies(admin, source=uplink(WHAT_IS_THERE), bodies=[{"hex": "00"}])

    told = str(result)
    assert result["ok"], result
    secrets = [
        stack.service_role_key,
        stack.jwt_secret,
        stack.scheduler_secret,
        stack.db_url,
        str(stack.data),
    ]
    assert not [secret for secret in [*secrets, str(ROOT), os.environ["HOME"] + "/"] if secret in told]
    assert not [name for name in ("process", "std.", "os.", "fetch", "scriptArgs") if f"'{name}" in told]


def test_no_context_is_shared_between_organizations(admin: Platform, stack: Stack) -> None:
    other = Platform(stack, stack.user("admin", 1))
    source = "var kept = []; function decodeUplink(i) { kept.push(i.text); return { data: kept }; }"

    for _ in range(3):
        try_bodies(admin, source=source, bodies=[{"text": "a secret of alpha"}])
    (seen,) = try_bodies(other, source=source, bodies=[{"text": "beta"}])

    assert seen["data"] == ["beta"]


def test_who_hangs_their_codec_keeps_nobody_elses_requests(admin: Platform, stack: Stack) -> None:
    other = Platform(stack, stack.user("admin", 1))
    hangs = "function decodeUplink() { return Array(2 ** 31 - 1).join(); }"
    hostile, proof = make_http(admin, codec=create(admin, source=hangs, fixtures=[])["id"])
    healthy, own = make_http(other, codec=create(other)["id"])
    over = threading.Event()

    def attack_all(number: int) -> set[int]:
        answered = set()
        while not over.is_set():
            answered.add(post(admin, hostile, f"{number} {time.time_ns()}".encode(), proof).status_code)
        return answered

    with ThreadPoolExecutor(16) as threads:
        attacks = [threads.submit(attack_all, number) for number in range(16)]
        time.sleep(1)
        replies = [post(other, healthy, f"{number}".encode(), own) for number in range(10)]
        over.set()

    answered = set().union(*(each.result() for each in attacks))
    assert [(reply.status_code, reply.json().get("stored")) for reply in replies] == [(202, 1)] * 10
    assert answered <= {202, 429, 503}
    assert 429 in answered
    kept = messages_of(admin, hostile)
    assert kept
    assert all(row["raw"] and row["error"] for row in kept)
