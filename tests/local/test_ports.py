"""Ports that are chosen before somebody listens on them are nobody else's meanwhile."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.local.data_folder import DataFolder
from tests.ports import find_free_port
from tests.stack import Stack

HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


@pytest.mark.skipif(not HANDED_OUT.exists(), reason="only Linux says so")
def test_no_port_of_a_stack_is_one_that_the_system_hands_out(stack: Stack, tmp_path: Path) -> None:
    lowest = int(HANDED_OUT.read_text().split()[0])

    new = DataFolder(tmp_path).choose_ports()

    ports = [urlsplit(url).port or 0 for url in (stack.url, stack.db_url, stack.mqtt_url)]
    assert max(*ports, new.postgres, new.mqtt) < lowest


def test_a_port_is_found_once() -> None:
    found = [find_free_port() for _ in range(50)]

    assert len(set(found)) == len(found)
