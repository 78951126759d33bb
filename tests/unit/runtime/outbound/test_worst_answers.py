"""Five platforms that answer with 15 MB each, at once, do not take the memory of a process: measured in its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fakes.http_receiver import Answer, HttpReceiver

PROGRAM = """
import re, resource, sys, threading
from pathlib import Path
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.outbound import Access, JsonApi

refused, barrier = [], threading.Barrier(5)

def use(owner):
    with JsonApi(Access("Acme", sys.argv[1], {}, [], owner), Deadline(60)) as api:
        barrier.wait()
        try:
            kept = api.call("POST", "", again=False)
        except Problem as problem:
            refused.append(problem.code)

threads = [threading.Thread(target=use, args=(str(number),)) for number in range(5)]
for thread in threads: thread.start()
for thread in threads: thread.join()
# ru_maxrss of Linux counts the process that started this one too.
status = Path("/proc/self/status")
if status.exists():
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1]) // 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024**2
print(peak, len(refused))
"""


@pytest.mark.parametrize(
    ("unit", "refusals"),
    [(b"{},", 5), (b'{"a":1},', 5), (b'"' + b"A" * 998 + b'",', 0)],
    ids=["empty", "small", "text"],
)
def test_five_answers_of_fifteen_megabytes_take_less_than_the_budget_and_the_process(
    unit: bytes, refusals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"[" + unit * (15_000_000 // len(unit)) + b"0]"
    monkeypatch.setenv("OUTBOUND_ALLOW", "127.0.0.0/8")

    with HttpReceiver(lambda _: Answer(body=body)) as receiver:
        program = [sys.executable, "-c", PROGRAM, receiver.url]
        told = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True).stdout.split()

    assert int(told[1]) == refusals
    assert int(told[0]) < 400
