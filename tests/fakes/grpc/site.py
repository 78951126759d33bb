"""What tests do with a service: make integrations of it."""

from __future__ import annotations

from typing import Any

from shared.provider import Identity, load_provider, require
from shared.providers.grpc import Grpc
from tests.fakes.grpc.server import LIST, TELL, WATCH

INTEGRATION = "3f0b7a52-0f5e-4f43-9c55-0d3f1c2a9b13"
STREAM: dict[str, Any] = {"method": WATCH, "request": {"after": "{{ cursor }}"}, "cursor_path": "sequence"}
PAGES: dict[str, Any] = {
    "method": LIST,
    "request": {"after": "{{ cursor }}", "page_token": "{{ page }}"},
    "items_path": "readings",
    "cursor_path": "last",
    "page_path": "next_page_token",
}
COMMANDS: dict[str, Any] = {
    "command_method": TELL,
    "command_request": {
        "id": "{{ id }}",
        "device": "{{ device }}",
        "action": "{{ name }}",
        "arguments": "{{ payload }}",
    },
}


def make_grpc(port: int, *, host: str = "127.0.0.1", **config: Any) -> Grpc:
    """An integration of the service on `port`, without TLS unless told otherwise."""
    settings: dict[str, Any] = {"target": f"{host}:{port}", "use_tls": False}
    return require(load_provider(settings | config, Identity("organization", INTEGRATION, "grpc")), Grpc)
