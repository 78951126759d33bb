"""A certificate authority of the tests' own, so that TLS is tested with TLS."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from tests.fakes.certificates import Pair, PemAuthority


class Authority(PemAuthority):
    """Issues certificates that only those trust who are given its `pem`."""

    def issue_server(self, name: str, *, days: int = 1) -> ssl.SSLContext:
        """A server's TLS with a certificate for `name` (or an address), valid for `days`; negative: expired."""
        return _load_server(self.issue(name, address=name, days=days))


def _load_server(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_text(pair.key + pair.certificate)
        context.load_cert_chain(path)
    return context
