"""The fields that say where an API is, who asks, and what of the variables is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    Access,
    BearerToken,
    Destination,
    EndpointUrl,
    Group,
    Headers,
    Provider,
    locate_url,
    replace_nul,
    reveal_headers,
)
from shared.providers.graphql.variables import CURSOR, Variables, check_variables, choose_variables, has_place

ACCEPT = "application/graphql-response+json, application/json;q=0.9"
WORDS_LIMIT = 500


class EndpointFields(Provider, defer_build=True):
    """For whoever calls a GraphQL API."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group("API", ("endpoint", "bearer_token", "headers", "variables"), open=True),
    )

    endpoint: EndpointUrl = Field(examples=["https://api.example.com/graphql"])
    """Where the API is; queries and mutations are posted there."""
    bearer_token: BearerToken | None = None
    """Sent with everything, as Authorization."""
    headers: Headers = Field(default_factory=dict, examples=[{"X-Tenant": "acme"}])
    """Sent with everything; the value of one whose name or value looks secret is stored sealed."""
    variables: dict[str, Any] | None = Field(None, examples=[{"site": "plant-1", "cursor": "{{cursor}}"}])
    """The variables of query and subscription, which get those that they name; {{cursor}} is filled in."""

    @field_validator("headers")
    @classmethod
    def _check_headers(
        cls, headers: dict[str, str | SecretStr], info: ValidationInfo
    ) -> dict[str, str | SecretStr]:
        if info.data.get("bearer_token") and any(name.lower() == "authorization" for name in headers):
            raise ValueError("Authorization is set by bearer_token already; leave out one of them")
        if any(name.lower().startswith("sec-websocket-") for name in headers):
            raise ValueError("what a WebSocket begins with is written by the client itself; leave it out")
        return headers

    @field_validator("variables")
    @classmethod
    def _check_variables(cls, variables: Variables | None) -> Variables | None:
        check_variables(variables, CURSOR)
        return variables

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where credentials are sent: to the API."""
        return locate_url(config.get("endpoint"))

    @property
    def proof(self) -> dict[str, str]:
        """The headers that say who asks."""
        token = self.bearer_token
        proof = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        return reveal_headers(self.headers) | proof

    @property
    def access(self) -> Access:
        """What calls to the API need."""
        headers, secrets = {"Accept": ACCEPT} | self.proof, list(self.hidden_values)
        return Access("The API", self.endpoint, headers, secrets, self.identity.organization_id)

    @property
    def hidden_values(self) -> tuple[str, ...]:
        """The secrets that are hidden in data too, where an API says them back."""
        return self.secret_values

    def mask_words(self, words: str) -> str:
        """Words of the API as they may be told: secrets masked; and Postgres has no text with NUL."""
        return replace_nul(self.mask_text(words)[:WORDS_LIMIT])


def require_place(expression: str | None, document: str | None, variables: Variables | None) -> str | None:
    """`expression`, which finds a cursor, where the document is given that: ValueError otherwise."""
    if expression and document and not has_place(choose_variables(document, variables, CURSOR), "cursor"):
        raise ValueError(
            "nothing is filled in with it: name $cursor in the document, or give another of the variables that it "
            'names the value "{{cursor}}"'
        )
    return expression
