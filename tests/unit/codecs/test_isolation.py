"""What a child process has: two pipes. And whose it is: one organization's at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.codecs.children import Children, Slot
from shared.codecs.codec import Codec
from shared.codecs.contract import Uplink
from shared.codecs.run import Item, Program, Run
from tests.unit.codecs.decoding import decode, read_data, uplink

A, B = "organization-a", "organization-b"
ONE = [Item(["01", None, None, None], 2)]


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children(most=1)
    yield made
    made.close()


@pytest.fixture(params=["javascript", "formats"])
def slot(request: pytest.FixtureRequest, children: Children) -> Iterator[Slot]:
    with children.borrow(A, request.param) as borrowed:
        borrowed.take_child(request.param)
        yield borrowed


def find_process(slot: Slot) -> Path:
    child = slot.take_child(slot.take_child("javascript").engine) if slot._child is None else slot._child
    return Path(f"/proc/{child.pid}")


def test_a_child_has_no_environment_and_no_descriptor_but_its_pipes(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "canary")
    process = find_process(slot)

    opened = {descriptor.name: str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}

    assert b"canary" not in (process / "environ").read_bytes()
    assert b"=" not in (process / "environ").read_bytes()
    assert opened.keys() == {"0", "1", "2"}
    assert opened["0"].startswith("pipe:")
    assert opened["1"].startswith("pipe:")
    assert opened["2"] == os.devnull
    assert (process / "cwd").readlink() == Path("/")


def test_a_child_can_open_and_start_nothing_more(slot: Slot) -> None:
    limits = (find_process(slot) / "limits").read_text()

    found = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}

    assert found["Max open files"] == found["Max processes"] == found["Max file size"] == ["0", "0"]
    assert found["Max core file size"] == ["0", "0"]
    assert int(found["Max address space"][1]) <= 512 * 1024 * 1024


def run(children: Children, organization: str, source: str) -> Run:
    made = Run(Program(organization, "javascript", source), "decode", {})
    made.work(ONE, children)
    return made


@pytest.mark.parametrize(
    "keep", ["globalThis.secret = 'mine'", "secret = 'mine'", "(0, eval)(`var secret = 'mine'`)"]
)
def test_what_a_call_leaves_in_a_child_nobody_finds(children: Children, keep: str) -> None:
    source = uplink(f"const found = globalThis.secret; {keep}; return {{ data: {{ found }} }}")

    first = run(children, A, source)
    other = run(children, B, source)
    again = run(children, A, source)

    assert first.results[0]["data"] == other.results[0]["data"] == again.results[0]["data"] == {}


def test_a_child_of_a_large_process_is_kept() -> None:
    script = """
import sys
from shared.codecs.children import Children
from tests.unit.codecs.test_isolation import A, run, uplink
large = b"x" * (192 * 1024 * 1024)
children = Children(most=1)
run(children, A, uplink("return { data: 1 }"))
before = children._idle[0]._child
run(children, A, uplink("return { data: 1 }"))
kept = children._idle[0]._child is before
children.close()
sys.exit(0 if kept else "replaced")
"""

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_child_that_has_used_much_memory_is_replaced(children: Children) -> None:
    run(children, A, uplink("return { data: 1 }"))
    before = children._idle[0]._child

    for at in range(8):
        run(children, A, uplink(f"return {{ data: {at} }}", "globalThis.kept = new Uint8Array(25e6).fill(1)"))

    assert before is not None
    assert children._idle[0]._child is not before
    assert run(children, B, uplink("return { data: 2 }")).results[0]["data"] == 2


def test_a_child_goes_when_its_parent_is_killed() -> None:
    program = (
        "import os, signal\n"
        "from shared.codecs.children import get_children\n"
        "from shared.codecs.codec import Codec\n"
        "Codec('o', 'javascript', 'function Decoder(bytes) { return 1 }').check()\n"
        "print(next(slot._child.pid for slot in get_children()._idle if slot._child), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)

    child = Path(f"/proc/{int(ran.stdout)}/stat")
    assert not child.exists() or has_ended(child)


def has_ended(stat: Path) -> bool:
    for _ in range(200):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        subprocess.run(["sleep", "0.05"], check=True)
    return False


def test_the_room_is_imported_without_any_engine() -> None:
    program = (
        "import sys, shared.codecs.codec\n"
        "engines = {'quickjs', '_quickjs', 'jmespath', 'msgpack', 'cbor2', 'google.protobuf'}\n"
        "print(sorted(engines & sys.modules.keys()), any('sandbox' in name for name in sys.modules))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, text=True
    )

    assert ran.stdout.strip() == "[] False"


def test_times_are_those_of_utc_wherever_the_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    assert (
        read_data("javascript", uplink("return { data: new Date(2026, 0, 1).toISOString() }"), b"")
        == "2026-01-01T00:00:00.000Z"
    )


def test_one_organizations_results_are_its_own_when_both_decode_at_once() -> None:
    sources = {name: uplink(f"return {{ data: '{name}' }}") for name in (A, B)}

    results = {
        name: Codec(name, "javascript", source).decode([Uplink(b"")] * 20) for name, source in sources.items()
    }

    assert all({one.data for one in decoded} == {name} for name, decoded in results.items())
    assert decode("javascript", sources[A], b"")[0].data == A
