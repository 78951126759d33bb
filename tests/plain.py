"""What tests call over HTTP is loopback, without TLS."""

from __future__ import annotations

import ssl

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, as `verify=` of httpx: it would read the system's certificates for each call, 30 ms of a core."""
