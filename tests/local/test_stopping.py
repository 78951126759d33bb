"""Being asked to stop is heard even where Python drops exceptions, and a second time asks for nothing more."""

from __future__ import annotations

import subprocess
import sys

from scripts.local.stack import ROOT

PROGRAM = """
import os, signal, time
from scripts.local.stopping import Stopped, hear_stop, listen_for_stop

class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

listen_for_stop()
try:
    Dropped()
    print("the exception was dropped", flush=True)
    time.sleep(30)
except Stopped:
    hear_stop()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
    print("heard", flush=True)
"""


def test_a_stop_that_comes_within_a_finaliser_is_heard_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.stdout.splitlines() == ["the exception was dropped", "heard"]
    assert done.stderr == ""
    assert done.returncode == 0
