"""How many files a process lets itself open."""

from __future__ import annotations

import resource

from shared.runtime.open_files import OPEN_FILES, allow_files


def test_a_process_that_may_open_more_files_than_it_began_with_does() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        allow_files()

        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert allowed == (OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard), hard)


def test_a_process_that_has_more_keeps_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES + 1 if hard == resource.RLIM_INFINITY or hard > OPEN_FILES else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        allow_files()

        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert allowed == (most, hard)
