"""E-mail: alerts and events as mail, by an SMTP server of the organization's own; all of one alert in one thread."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    PEM,
    Acknowledged,
    BadRequest,
    Callback,
    CallbackReceiver,
    Check,
    Checker,
    Deadline,
    Destination,
    Event,
    Group,
    Notice,
    Notifier,
    OptOut,
    PushedRequest,
    Recipient,
    RotatingSecret,
    TextReply,
    Unauthenticated,
    is_public,
    locate_callback,
    make_secret,
    name_authority,
    require_partner,
)

PORTS = {"smtp": 587, "smtps": 465}
RELAY_PORT = 25

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_LOCAL}@(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}")
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}|[0-9a-f:.]+")
_SECRET = RotatingSecret("unsubscribe_secret", make_secret)


def _check_address(address: str) -> str:
    address = address.strip()
    if not _ADDRESS.fullmatch(address):
        raise ValueError("expected an address such as ada@example.com, of ASCII characters")
    return address


def _check_server(url: str) -> str:
    try:
        scheme, host, port = split_server(url)
    except ValueError:
        raise ValueError("expected smtp://<host>:587 (STARTTLS) or smtps://<host>:465 (TLS)") from None
    if port == RELAY_PORT and is_public(host):
        raise ValueError(
            "at port 25 servers take mail of anybody for their own users; write the port for senders, 587 or 465"
        )
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def split_server(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a server's address; ValueError where it is none."""
    parts = urlsplit(url.strip())
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    is_plain = (
        not parts.path.strip("/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    )
    if parts.scheme not in PORTS or parts.port == 0 or not is_plain or not _HOST.fullmatch(host):
        raise ValueError("not a server's address")
    return parts.scheme, host, port


Address = Annotated[str, Field(max_length=320), AfterValidator(_check_address)]


class EmailRecipient(Recipient):
    """Somebody with a mailbox."""

    to: Address
    """Their address."""


class Email(Checker, Notifier, CallbackReceiver):
    """A mail server, who signs in there, and who is told."""

    label: ClassVar[str] = "E-mail"
    docs: ClassVar[str] = "Tells alerts and events by e-mail, through an SMTP server of yours."

    generated: ClassVar[Mapping[str, RotatingSecret]] = {_SECRET.name: _SECRET}
    kept: ClassVar[frozenset[str]] = frozenset({_SECRET.name, _SECRET.previous})
    groups: ClassVar[tuple[Group, ...]] = (
        Group(
            "Mail server", ("server_url", "username", "password", "ca_certificate", "allow_plain"), open=True
        ),
        Group("Sender", ("from_address", "from_name", "reply_to"), open=True),
        Group("Unsubscribing", (_SECRET.name, _SECRET.previous, _SECRET.previous_until)),
    )

    recipients: tuple[EmailRecipient, ...] = Field(
        max_length=50, examples=[[{"name": "Operations", "to": "operations@example.com"}]]
    )
    """Who is told: a name, an address, from which level on, quiet hours, how often an hour."""
    server_url: Annotated[str, Field(max_length=300), AfterValidator(_check_server)] = Field(
        examples=["smtp://smtp.example.com:587"]
    )
    """The server that mail is handed to: smtp:// begins TLS by STARTTLS, smtps:// with the connection."""
    allow_plain: bool = Field(default=False, validate_default=True)
    """Whether mail may go without TLS, where an smtp:// server in a private network has none."""
    ca_certificate: Annotated[str, Field(min_length=1, max_length=65_536)] | None = Field(
        None, json_schema_extra=PEM
    )
    """The certificate of an authority of your own, which the server's is to be from."""
    username: Annotated[str, Field(min_length=1, max_length=320, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = (
        None
    )
    """Who signs in at the server; left out, nobody does."""
    password: Annotated[SecretStr, Field(min_length=1, max_length=1_024)] | None = None
    """The password that goes with it."""
    from_address: Address
    """The sender's address, of a domain that the server may send for (SPF, DKIM)."""
    from_name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")] | None = (
        None
    )
    """The sender's name."""
    reply_to: Address | None = None
    """Where answers go, if not to the sender."""
    unsubscribe_secret: SecretStr | None = None
    """What proves that somebody has clicked to get no more mail. Left out of a new config, it is made."""
    previous_unsubscribe_secret: SecretStr | None = None
    """Taken too while mail with links by it is in mailboxes."""
    previous_unsubscribe_secret_until: AwareDatetime | None = None
    """From then on the previous secret is not taken any more."""

    @field_validator("allow_plain")
    @classmethod
    def _check_plain(cls, allow: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's way
        if allow and "server_url" in info.data and is_public(split_server(info.data["server_url"])[1]):
            raise ValueError("the server is on the internet, where mail and password go through TLS only")
        return allow

    @field_validator("ca_certificate")
    @classmethod
    def _check_ca(cls, text: str | None) -> str | None:
        if text is not None:
            from shared.providers.email.smtp import make_context

            make_context(text)
        return text

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(password, "username", info)

    @field_validator("previous_unsubscribe_secret")
    @classmethod
    def _check_previous(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(secret, _SECRET.name, info)

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the password is sent, who vouches for the server, and whether others on the way may read it."""
        scheme, host, port = split_server(str(config.get("server_url")))
        authority = name_authority(config)
        plain = "plain" if config.get("allow_plain") else "tls"
        return scheme, host.lower(), str(port), authority, plain

    def tell(self, event: Event, notice: Notice, deadline: Deadline) -> str:
        """One mail. SMTP can't be asked whether it has one already, but it is the same Message-ID again."""
        from shared.providers.email.publish import send_mail

        recipient = self.find_recipient(notice)
        assert isinstance(recipient, EmailRecipient)  # noqa: S101 - the field's type
        return send_mail(self, event, recipient, deadline)

    def link(self, way: str, address: str) -> str | None:
        """The address at which `address` ends its mail (`unsubscribe`), or begins it again (`subscribe`)."""
        if not self.unsubscribe_secret or not self.identity.integration_id:
            return None
        return self._link(way, OptOut.of(address, is_out=True).address_hash)

    def _link(self, way: str, hashed: str) -> str:
        # In the query, for logs keep paths.
        secret = self.unsubscribe_secret.get_secret_value() if self.unsubscribe_secret else ""
        return f"{locate_callback(self.identity, way)}?who={hashed}&proof={_prove(secret, way, hashed)}"

    def verify(self, request: PushedRequest) -> None:
        """Unauthenticated unless the link is one of ours."""
        way, hashed, proof = _read_link(request)
        made = [_prove(secret, way, hashed) for secret in _SECRET.list_valid(self)]
        if not any([hmac.compare_digest(each.encode(), proof.encode(errors="replace")) for each in made]):  # noqa: C419 - all
            raise Unauthenticated("The link is none of ours, or its secret was changed.")

    def callback(self, request: PushedRequest) -> Callback:
        """Somebody wants no more mail, or mail again."""
        way, hashed, _ = _read_link(request)
        if way not in {"unsubscribe", "subscribe"}:
            raise BadRequest("Nothing is done at this address; see docs/email.md.")
        return Callback(opt_outs=(OptOut(hashed, way == "unsubscribe"),))

    def answer(self, request: PushedRequest, told: Sequence[Acknowledged | None]) -> TextReply:  # noqa: ARG002 - none are
        """Words for whoever clicked."""
        way, hashed, _ = _read_link(request)
        if way == "subscribe":
            return TextReply("You get mail again.\n")
        again = self._link("subscribe", hashed)
        return TextReply(f"You get no more mail. To get it again: curl -X POST '{again}'\n")

    def check(self) -> Iterator[Check]:
        """Connect, sign in; then a mail, where the config says to whom."""
        from shared.providers.email.check import check_server

        for check in check_server(self):
            yield check
            if not check.ok:
                return
        yield from self.check_message()


def _read_link(request: PushedRequest) -> tuple[str, str, str]:
    """What is wanted, for whom by the hash of their address, and what proves that the link is ours."""
    hashed, proof = (request.query.get(name, [""])[0] for name in ("who", "proof"))
    return request.path[:20], hashed if re.fullmatch(r"[0-9a-f]{64}", hashed) else "", proof[:100]


def _prove(secret: str, way: str, hashed: str) -> str:
    return hmac.new(secret.encode(), f"{way}/{hashed}".encode(), hashlib.sha256).hexdigest()[:40]
