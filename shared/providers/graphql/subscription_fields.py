"""The fields that say what is subscribed to, and by which protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import orjson
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    Destination,
    Expression,
    Group,
    SocketUrl,
    find_http_url,
    locate_url,
    looks_secret,
    require_partner,
)
from shared.providers.graphql.document import DOCUMENT, check_document
from shared.providers.graphql.endpoint_fields import EndpointFields, require_place
from shared.providers.graphql.variables import CURSOR, Variables, choose_variables, fill_variables

PAYLOAD_LIMIT = 8_192
SHORTEST_SECRET = 6
"""Characters of a value within init_payload from which it is hidden alone too."""

Protocol = Literal["auto", "transport-ws", "legacy", "sse", "appsync"]
SOCKETS: tuple[Protocol, ...] = ("auto", "transport-ws", "legacy", "appsync")
PLAIN_SOCKETS: tuple[Protocol, ...] = ("auto", "transport-ws", "legacy")

_PROTOCOLS: dict[str, Any] = {
    "x-labels": {
        "auto": "Whichever the server speaks",
        "transport-ws": "WebSocket: graphql-transport-ws",
        "legacy": "WebSocket: graphql-ws of Apollo",
        "sse": "Server-sent events",
        "appsync": "AWS AppSync",
    }
}
_SET: dict[str, Any] = {"not": {"const": None}}


def _when(**properties: Any) -> dict[str, Any]:
    return {"x-when": {"properties": {"subscription": _SET} | properties}}


def _check_payload(secret: SecretStr) -> SecretStr:
    try:
        payload = orjson.loads(secret.get_secret_value())
        if payload and isinstance(payload, dict):
            return secret
    except orjson.JSONDecodeError:
        pass
    raise ValueError('expected a JSON object, as {"headers": {"x-api-key": "…"}}')


InitPayload = Annotated[
    SecretStr,
    Field(max_length=PAYLOAD_LIMIT),
    AfterValidator(_check_payload),
]


class SubscriptionFields(EndpointFields, defer_build=True):
    """For whoever subscribes to a GraphQL API."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group(
            "What is subscribed to",
            (
                *("subscription", "subscription_items", "subscription_cursor"),
                *("protocol", "ws_endpoint", "init_payload"),
            ),
            open=True,
        ),
    )

    subscription: str | None = Field(
        None,
        examples=["subscription { readingAdded { id device at temperature } }"],
        json_schema_extra=DOCUMENT,
    )
    """What is subscribed to; a query brings what was missed meanwhile."""
    subscription_items: Expression | None = Field(
        None, examples=["readings[].node"], json_schema_extra=_when()
    )
    """A JMESPath expression over the data of a result: its item, or the list of them; left out, the only field's."""
    subscription_cursor: Expression | None = Field(
        None, examples=["readings_stream[-1].id"], json_schema_extra=_when(query_cursor={"const": None})
    )
    """For a subscription that goes on from $cursor by itself: what that is from then on."""
    protocol: Protocol = Field("auto", json_schema_extra=_PROTOCOLS | _when())
    """What it is spoken by."""
    ws_endpoint: SocketUrl | None = Field(
        None,
        title="WebSocket address",
        examples=["wss://api.example.com/graphql"],
        json_schema_extra=_when(protocol={"enum": list(SOCKETS)}),
    )
    """Where a WebSocket is asked for, where that is not the endpoint."""
    init_payload: InitPayload | None = Field(
        None, title="Opening payload", json_schema_extra=_when(protocol={"enum": list(PLAIN_SOCKETS)})
    )
    """A JSON object that a WebSocket begins with (connection_init), where the API reads there who asks."""

    @field_validator("subscription")
    @classmethod
    def _check_subscription(cls, document: str | None) -> str | None:
        return document and check_document(document, "subscription")

    @field_validator("subscription_items", "subscription_cursor", "ws_endpoint", "init_payload")
    @classmethod
    def _check_subscribed(cls, value: Any, info: ValidationInfo) -> Any:
        return require_partner(value, "subscription", info)

    @field_validator("subscription_cursor")
    @classmethod
    def _check_stream(cls, expression: str | None, info: ValidationInfo) -> str | None:
        if expression and info.data.get("query_cursor"):
            raise ValueError("query_cursor says already how far was read; set one of them to null")
        return expression

    @field_validator("protocol")
    @classmethod
    def _check_protocol(cls, protocol: Protocol, info: ValidationInfo) -> Protocol:
        if protocol != "auto":
            require_partner(protocol, "subscription", info)
        return protocol

    @field_validator("ws_endpoint", "init_payload")
    @classmethod
    def _check_socket(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("protocol", "auto")
        if value is not None and protocol not in (
            SOCKETS if info.field_name == "ws_endpoint" else PLAIN_SOCKETS
        ):
            raise ValueError(f"protocol {protocol} has no use for it; leave it out")
        return value

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        require_place(self.subscription_cursor, self.subscription, self.variables)
        return self

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where credentials are sent: to the API, and to where its WebSocket is."""
        socket = config.get("ws_endpoint")
        other = locate_url(find_http_url(socket)) if isinstance(socket, str) else ()
        return (*super().locate(config), " ".join(other))

    @property
    def is_streaming(self) -> bool:
        """Whether the subscription goes on from a cursor by itself."""
        return self.subscription_cursor is not None

    @property
    def opening(self) -> dict[str, Any] | None:
        """The payload that a WebSocket begins with; without one of its own the token, which many servers read there."""
        if self.init_payload:
            payload: dict[str, Any] = orjson.loads(self.init_payload.get_secret_value())
            return payload
        is_own = self.protocol == "appsync" or self.bearer_token is None
        return None if is_own else {"Authorization": self.proof["Authorization"]}

    @property
    def socket_url(self) -> str:
        """Where a WebSocket is asked for, as an http or https address."""
        if self.protocol == "appsync":
            from shared.providers.graphql.appsync import make_url

            return find_http_url(make_url(self.endpoint, self.ws_endpoint, self.proof))
        return find_http_url(self.ws_endpoint or self.endpoint)

    @property
    def stream_headers(self) -> dict[str, str]:
        """What goes with the request for a stream."""
        return {} if self.protocol == "appsync" else self.proof

    def wrap_operation(self, operation: Mapping[str, Any]) -> dict[str, Any]:
        """The payload that begins a subscription."""
        if self.protocol == "appsync":
            from shared.providers.graphql.appsync import wrap_operation

            return wrap_operation(self.endpoint, operation, self.proof)
        return dict(operation)

    def fill_subscription(self, cursor: Any) -> Variables:
        """The variables of the subscription, from there on."""
        document = self.subscription or ""
        return fill_variables(choose_variables(document, self.variables, CURSOR), {"cursor": cursor})

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, those within init_payload too."""
        return (*super().secret_values, *(text for text, _ in self._payload_texts))

    @property
    def hidden_values(self) -> tuple[str, ...]:
        """Those of init_payload only where their names look secret: of roles and tenants devices speak, too."""
        texts = self._payload_texts
        own = self.secret_values[: len(self.secret_values) - len(texts)]
        return (*own, *(text for text, is_secret in texts if is_secret))

    @property
    def _payload_texts(self) -> list[tuple[str, bool]]:
        return (
            list(_list_texts(orjson.loads(self.init_payload.get_secret_value()))) if self.init_payload else []
        )


def _list_texts(value: Any, *, is_secret: bool = False) -> Iterator[tuple[str, bool]]:
    """The texts in a payload that are long enough to be hidden, and whether a name on the way to them looks secret."""
    if isinstance(value, str) and len(value) >= SHORTEST_SECRET:
        yield value, is_secret or looks_secret("", value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _list_texts(inner, is_secret=is_secret or looks_secret(name, ""))
    elif isinstance(value, list):
        for inner in value:
            yield from _list_texts(inner, is_secret=is_secret)
