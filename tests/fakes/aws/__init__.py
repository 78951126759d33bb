"""AWS on real sockets: signatures recomputed by AWS's library, moto for what it does faithfully, the rest ours."""

from __future__ import annotations

from tests.fakes.aws.rules import RuleSender
from tests.fakes.aws.server import FakeAws, Fault

__all__ = ["FakeAws", "Fault", "RuleSender"]
