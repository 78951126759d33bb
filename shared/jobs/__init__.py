"""Long work on one integration: begun through the API or by a plan, done by the scheduler in steps that are committed.

A kind of job is one module in `shared/jobs/kinds`; nothing lists them.
"""

from __future__ import annotations

from shared.jobs.job import Again, Done, Failed, Job, JobOutcome

__all__ = ["Again", "Done", "Failed", "Job", "JobOutcome"]
