"""What brokers answer, in an admin's words. Codes are those of MQTT 5, to which paho maps those of 3.1.1."""

from __future__ import annotations

from http import HTTPStatus

from shared.provider import (
    CredentialsRefused,
    OutsideError,
    ProtocolFailed,
    ProtocolUnsupported,
    is_final_status,
)

UNSUPPORTED_PROTOCOL = 132
REFUSED_FROM = 128
TAKEN_OVER = 142

_CREDENTIALS = {
    134: "The broker refused the user name or password.",
    135: "The broker does not authorize this user or client id to connect; check username, password and client_id.",
    138: "The broker has banned this client.",
    140: "The broker wants another way of authentication than user name and password.",
}
_CONNECT = {
    133: "The broker does not accept the client id; set another client_id.",
    136: "The broker is not available just now.",
    137: "The broker is too busy just now.",
    149: "The broker finds the connection request too large.",
    151: "The broker's quota for this account is used up.",
    155: "The broker does not support this quality of service.",
    156: "The broker asks to use another server; set broker_url to that one.",
    157: "The broker has moved to another server; set broker_url to that one.",
    159: "The broker finds that we connect too often.",
}
_SUBSCRIBE = {
    135: "this user is not authorized for it",
    143: "the filter is not valid for this broker",
    151: "the broker's quota is used up",
    158: "the broker does not support shared subscriptions",
    162: "the broker does not support wildcards",
}
_DISCONNECT = {
    TAKEN_OVER: "Another client connected with the same client id, so the broker closed this connection; "
    "give every client its own client_id.",
    139: "The broker is shutting down.",
    141: "The broker heard nothing from us within the keepalive time and closed the connection.",
    147: "The broker says that we took more messages at once than announced and closed the connection.",
    149: "The broker found a packet too large and closed the connection.",
    150: "The broker finds our message rate too high and closed the connection.",
    152: "The broker's administrator closed the connection.",
}


class ConnectionLost(OutsideError):  # noqa: N818 - named as its siblings in shared/runtime/errors.py
    """The connection to the broker was lost."""


class TakenOver(ProtocolFailed):
    """Another client connected with the same client id."""


def explain_refusal(code: int, name: str) -> OutsideError:
    """The error for a CONNACK with reason `code`, which paho calls `name`."""
    if code == UNSUPPORTED_PROTOCOL:
        return ProtocolUnsupported()
    if code in _CREDENTIALS:
        return CredentialsRefused(_CREDENTIALS[code])
    return ProtocolFailed(_CONNECT.get(code, f"The broker refused the connection: {name}."))


def explain_upgrade(path: str, status: int | None) -> OutsideError:
    """The error for a WebSocket that was refused; `path` is that of the config, without what may prove who we are."""
    said = f" ({status})" if status else ""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(
            f"The broker refused the WebSocket at {path}{said}: it does not let these credentials connect."
        )
    if status and not is_final_status(status):
        return ProtocolFailed(f"The broker does not accept a WebSocket at {path} just now{said}.")
    return ProtocolFailed(
        f"The broker did not accept a WebSocket at {path}{said}; check that it is spoken there, and the path."
    )


def explain_filter(topic_filter: str, code: int) -> str:
    """Why the broker refused a subscription, naming its filter."""
    return f"The broker refused the topic {topic_filter!r}: {_SUBSCRIBE.get(code, f'reason code {code}')}."


def explain_disconnect(code: int, name: str) -> OutsideError:
    """Why the broker closed the connection."""
    words = _DISCONNECT.get(code, f"The broker closed the connection: {name}.")
    return TakenOver(words) if code == TAKEN_OVER else ConnectionLost(words)


def explain_publish(topic: str, code: int) -> OutsideError:
    """The error for a PUBACK with reason `code`."""
    if code == 135:  # noqa: PLR2004 - not authorized
        return CredentialsRefused(f"The broker does not authorize this user to publish to {topic!r}.")
    return ProtocolFailed(f"The broker refused what was published to {topic!r}: reason code {code}.")
