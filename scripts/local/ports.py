"""Ports of loopback for what is begun a moment later."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence

UNASSIGNED = range(10_000, 20_000)
"""Handed out by no system by itself: what one program is given so, the next is given too until the first listens."""


def find_free_port(among: Sequence[int] = UNASSIGNED) -> int:
    """One of them, by chance, on which nobody listens just now."""
    while not is_free(port := secrets.choice(among)):
        pass
    return port


def is_free(port: int) -> bool:
    """Whether somebody could listen on it now."""
    with socket.socket() as probe:
        # Without this a port we used a minute ago counts as taken while its old connections linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
