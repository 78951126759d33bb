"""Azure IoT Hub: what Event Grid pushes of it, and its service API for twins, methods and devices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    PROOF,
    BadRequest,
    BaseUrl,
    Check,
    Checker,
    CodecFields,
    Command,
    Commander,
    Credential,
    Deadline,
    Destination,
    DeviceState,
    Directory,
    Group,
    Message,
    NotSupported,
    Outcome,
    PushedRequest,
    Receiver,
    StateKeeper,
    StoredBody,
    Syncer,
    TextReply,
    Unauthenticated,
    check_path,
    locate_url,
    require_partner,
    write_json,
)
from shared.providers.azure_iot.api import Account
from shared.providers.azure_iot.sas import check_key, is_connection_string, read_connection_string

Authentication = Literal["sas", "certificateAuthority"]
ORIGIN, RATE = "eventgrid.azure.net", "*"
NO_CREDENTIALS = (
    "Set shared_access_key to the connection string of a policy: this goes through the hub's service API."
)
OWN_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.azure-devices\.(?:net|cn|us)")
_HUB = ("host_name", "policy_name", "shared_access_key", "base_url")
_SYNC = (
    *("sync_direction", "sync_interval_seconds", "sync_where", "device_authentication", "sync_conflicts"),
    *("sync_create_missing", "sync_update_existing", "sync_limit", "online_minutes"),
)


def _check_host(name: str) -> str:
    if not OWN_HOST.fullmatch(name.lower()):
        raise ValueError(
            "expected <hub>.azure-devices.net, as the overview of the hub in the portal shows it"
        )
    return name.lower()


class AzureIot(Checker, Receiver, CodecFields, Commander, Syncer, StateKeeper):
    """One IoT Hub: the key of one of its policies, and how Event Grid proves who it is."""

    label: ClassVar[str] = "Azure IoT Hub"
    docs: ClassVar[str] = (
        "An Azure IoT Hub: receives its events through Event Grid, calls methods, keeps twins, syncs devices."
    )

    sole_proof: ClassVar[frozenset[str]] = frozenset((*PROOF, "secret_parameter"))
    groups: ClassVar[tuple[Group, ...]] = (
        Group("Hub", _HUB, open=True),
        Group("Events", ("secret_parameter", "timestamp_path")),
        Group("Device sync", _SYNC),
    )

    host_name: Annotated[str, AfterValidator(_check_host)] | None = Field(
        None, examples=["acme.azure-devices.net"]
    )
    """The hub's host name; filled in by a connection string."""
    policy_name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")] | None = (
        Field(None, examples=["platform"], title="Policy")
    )
    """The shared access policy that the key is of; filled in by a connection string."""
    shared_access_key: Credential | None = Field(None, title="Key or connection string")
    """The key of the policy, or its whole connection string; needed for all but receiving."""
    base_url: BaseUrl | None = Field(None, examples=["https://hub.example.com"])
    """Where the hub's service API is, where that is not https:// and its host name."""
    secret_parameter: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = "code"  # noqa: S105 - the name of a parameter
    """The parameter of the address that may bring webhook_secret too: Event Grid's handshake has no headers."""
    timestamp_path: str | None = Field(None, examples=["time"])
    """Where a JSON body says when it was measured; left out, when the device or the hub dated the message."""

    sync_where: Annotated[str, Field(min_length=1, max_length=1_000)] | None = Field(
        None, examples=["tags.site = 'berlin'"], title="Only where"
    )
    """Only devices for which this condition of the hub's query language holds."""
    device_authentication: Authentication = Field(
        "sas",
        json_schema_extra={
            "x-labels": {"sas": "With keys", "certificateAuthority": "With certificates of an authority"}
        },
    )
    """How devices that are made there sign in, unless they have a certificate's thumbprint among their hardware ids."""

    @model_validator(mode="before")
    @classmethod
    def _open_string(cls, data: Any) -> Any:
        """A connection string in the place of the key, taken apart; and the default that the database reads."""
        if not isinstance(data, dict):
            return data
        given = data.get("shared_access_key")
        text = given.get_secret_value() if isinstance(given, SecretStr) else given
        if isinstance(text, str) and is_connection_string(text):
            told = read_connection_string(text)
            known = {name: data.get(name) for name in ("host_name", "policy_name")}
            if any(
                value is not None and str(value).lower() != told[name].lower()
                for name, value in known.items()
            ):
                raise ValueError(
                    "the connection string is of another hub or policy: set host_name and policy_name to null"
                )
            data = {**data, **told}
        has_key = data.get("shared_access_key") is not None
        return {"sync_direction": "import" if has_key else "off", **data}

    @field_validator("shared_access_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is not None:
            check_key(key.get_secret_value())
            require_partner(require_partner(key, "host_name", info), "policy_name", info)
        return key

    @field_validator("timestamp_path")
    @classmethod
    def _check_place(cls, path: str | None) -> str | None:
        return path and check_path(path)

    @field_validator("sync_where")
    @classmethod
    def _check_condition(cls, where: str | None) -> str | None:
        if where is not None and not where.isprintable():
            raise ValueError("write the condition in one line")
        return where

    @model_validator(mode="after")
    def _check_ways(self) -> AzureIot:
        if not (self.webhook_secret or self.shared_access_key):
            raise ValueError(
                "nothing could be done: set webhook_secret for Event Grid, or the key of a policy"
            )
        if self.sync_direction != "off" and not self.shared_access_key:
            raise ValueError("device sync needs shared_access_key; or set sync_direction to off")
        return self

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where what the key has signed is sent."""
        host = config.get("host_name")
        return locate_url(config.get("base_url") or (host and f"https://{host}"))

    @property
    def hub_name(self) -> str:
        """The name of the hub, empty where it is not known."""
        return (self.host_name or "").partition(".")[0]

    @property
    def account(self) -> Account:
        """What calls to the service API need; NotSupported without a key."""
        if self.shared_access_key is None:
            raise NotSupported(NO_CREDENTIALS)
        host, key = self.host_name or "", self.shared_access_key.get_secret_value()
        base_url, owner = self.base_url or f"https://{host}", self.identity.organization_id
        return Account(host, base_url, self.policy_name or "", key, owner)

    def verify(self, request: PushedRequest) -> None:
        """By the header, as every receiver, or by the parameter of the address where that is missing."""
        header = self.webhook_secret_header.lower()
        if self.webhook_authentication == "header" and header not in request.headers:
            try:
                given = request.query.get(self.secret_parameter, [""])[0].replace(" ", "+")  # a bare plus
            except BadRequest as problem:
                raise Unauthenticated(problem.detail) from None
            request = replace(request, headers={**request.headers, header: given})
        super().verify(request)

    def greet(self, request: PushedRequest) -> dict[str, str]:
        """The handshake of CloudEvents: Event Grid may push, as fast as it likes."""
        if request.headers.get("webhook-request-origin") != ORIGIN:
            return {}
        return {"WebHook-Allowed-Origin": ORIGIN, "WebHook-Allowed-Rate": RATE}

    def parse(self, request: PushedRequest) -> list[Message]:
        """See shared/providers/azure_iot/parse.py."""
        from shared.providers.azure_iot.parse import parse_request

        return parse_request(self, request)

    def answer_push(self, request: PushedRequest, receipt: Mapping[str, int]) -> TextReply | None:  # noqa: ARG002 - its counts are told to nobody else
        """The handshake of Event Grid's own schema, which is answered with its code and 200; else the receipt."""
        from shared.providers.azure_iot.event_grid import find_validation

        code = find_validation(request)
        return (
            TextReply(write_json({"validationResponse": code}).decode(), "application/json") if code else None
        )

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """See shared/providers/azure_iot/parse.py."""
        from shared.providers.azure_iot.parse import decode_stored

        return decode_stored(self, stored)

    def send(self, command: Command) -> Outcome:
        """A direct method, or desired properties; see shared/providers/azure_iot/send.py."""
        from shared.providers.azure_iot.send import send_command

        return send_command(self.account, command)

    def state(self, device: str) -> DeviceState:
        """The twin of the device; see shared/providers/azure_iot/state.py."""
        from shared.providers.azure_iot.state import Twin

        return Twin(self.account, device)

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The hub's identity registry; see shared/providers/azure_iot/devices.py."""
        from shared.providers.azure_iot.api import AzureApi
        from shared.providers.azure_iot.devices import AzureDirectory

        with AzureApi(self.account, deadline) as api:
            yield AzureDirectory(api, self.sync_where, self.device_authentication)

    def check(self) -> Iterator[Check]:
        """See shared/providers/azure_iot/check.py."""
        from shared.providers.azure_iot.check import check_hub

        yield from check_hub(self)
