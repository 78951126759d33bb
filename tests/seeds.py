"""Seeds of the tests that kill at random moments: TEST_SEEDS says how many."""

from __future__ import annotations

import os

SEEDS = range(1, 1 + int(os.environ.get("TEST_SEEDS", "2")))
