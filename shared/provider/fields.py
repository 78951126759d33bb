"""Field types for configs that name an HTTP endpoint: its URL, headers with their secrets, credentials in headers."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from shared.runtime.errors import AddressBlocked, BadRequest
from shared.runtime.outbound import VALUE_LIMIT, find_forbidden_headers, find_origin

Value = TypeVar("Value")

URL_LIMIT = 2048
HEADER_LIMIT = 50
NAME_LIMIT = 128

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
_HOST = re.compile(r"(?=.{1,254}\Z)(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)*(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.?")
_BRACKETED = re.compile(r"\[[^\]]*\](?::[0-9]*)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET_NAME = re.compile(
    r"auth|token|secret|key|pass|pwd|signature|cookie|credential|session|bearer|jwt", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"(?:bearer|basic|digest|token)\s", re.IGNORECASE)
_CREDENTIAL = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


def check_url(url: str) -> str:
    """`url` if it is one that can be sent to; ValueError says what to change. Whether plain http may go there is
    for outbound to say."""
    if len(url) > URL_LIMIT or _UNSAFE.search(url):
        raise ValueError(
            f"a URL has at most {URL_LIMIT} characters; spaces and backslashes are percent-encoded"
        )
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    if not port_fits or parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError("expected https://<host>/<path>, with a port from 1 to 65535 if any")
    if "@" in parts.netloc:
        raise ValueError(
            "leave user name and password out of the URL; they go into basic_username and basic_password"
        )
    if "#" in url:
        raise ValueError("leave out the fragment (# and what follows): it is never sent")
    _check_host(parts.hostname, parts.netloc)
    return url


def check_base_url(url: str) -> str:
    """`url` without slashes at its end, if a path can be put behind it; ValueError otherwise."""
    if "?" in url:
        raise ValueError("leave out the query (? and what follows): paths are put behind this address")
    return url.rstrip("/")


def find_http_url(url: str) -> str:
    """The http or https address at which a WebSocket is asked for, whose own address may begin with ws or wss."""
    return f"http{url[2:]}" if url.startswith(("ws://", "wss://")) else url


def check_socket_url(url: str) -> str:
    """As `check_url`, for the address of a WebSocket."""
    check_url(find_http_url(url))
    return url


def check_secret_url(secret: SecretStr) -> SecretStr:
    """As `check_url`, for an address that is itself a secret."""
    check_url(secret.get_secret_value())
    return secret


def locate_url(url: object) -> tuple[str, str, str]:
    """Scheme, host and port that a request to `url` goes to; ValueError where it is no such address."""
    if not isinstance(url, str) or len(url) > URL_LIMIT:
        raise ValueError("not an address")
    try:
        return find_origin(url)
    except (BadRequest, AddressBlocked) as problem:
        raise ValueError(problem.detail) from None


def wrap_headers(headers: Any) -> Any:
    """`headers` with the values that look secret, by their header's name, as SecretStr. ValueError names a bad one."""
    if not isinstance(headers, dict):
        return headers
    if len(headers) > HEADER_LIMIT:
        raise ValueError(f"at most {HEADER_LIMIT} headers")
    wrapped = {name: _wrap_value(check_header_name(name), value) for name, value in headers.items()}
    shown = {name: str(_reveal(value)) for name, value in wrapped.items()}
    if problems := find_forbidden_headers(shown):
        raise ValueError(" ".join(problems))
    return wrapped


def check_header_name(name: str) -> str:
    """`name` if it is a header's name that admins may set; ValueError otherwise, without what was malformed."""
    if not isinstance(name, str) or len(name) > NAME_LIMIT or not _HEADER_NAME.fullmatch(name):
        # Not repeated: someone may have pasted "Authorization: Bearer …" here.
        raise ValueError(
            f"a header's name has at most {NAME_LIMIT} letters, digits and ! # $ % & ' * + - . ^ _ ` | ~; "
            "the value goes apart from it"
        )
    if problems := find_forbidden_headers({name: ""}):
        raise ValueError(" ".join(problems))
    return name


def looks_secret(name: str, value: str) -> bool:
    """Whether a header holds a secret, by its name or by how its value begins."""
    return bool(_SECRET_NAME.search(name) or _SECRET_VALUE.match(value))


def check_credential(secret: SecretStr) -> SecretStr:
    """`secret` if a header can carry it; ValueError otherwise."""
    text = secret.get_secret_value()
    if len(text) > VALUE_LIMIT or not _CREDENTIAL.fullmatch(text):
        raise ValueError(
            f"1 to {VALUE_LIMIT} printable ASCII characters, without line breaks and spaces around them"
        )
    return secret


def check_bearer(secret: SecretStr) -> SecretStr:
    """`secret` if it is a token alone; ValueError otherwise."""
    if secret.get_secret_value().lower().startswith("bearer "):
        raise ValueError("leave out the word Bearer; it is sent before the token")
    return secret


def reveal_headers(headers: dict[str, str | SecretStr]) -> dict[str, str]:
    """`headers` with the secrets in the clear, ready to send."""
    return {name: str(_reveal(value)) for name, value in headers.items()}


def require_partner(value: Value, partner: str, info: ValidationInfo) -> Value:
    """`value` unless it goes with the field `partner`, which stands before it and was set to nothing: ValueError."""
    if value is not None and info.data.get(partner, "") is None:
        raise ValueError(f"it goes with {partner}, which is not set")
    return value


def join_basic(username: str | None, password: SecretStr | None) -> str:
    """User name and password as basic authentication joins them."""
    return f"{username}:{password.get_secret_value() if password else ''}"


def encode_basic(pair: str) -> str:
    """What `Authorization` says with that pair (RFC 7617)."""
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


EndpointUrl = Annotated[str, AfterValidator(check_url)]
BaseUrl = Annotated[EndpointUrl, AfterValidator(check_base_url)]
"""The address of an API, which paths are put behind."""

SocketUrl = Annotated[str, AfterValidator(check_socket_url)]
SecretUrl = Annotated[SecretStr, AfterValidator(check_secret_url)]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
Credential = Annotated[SecretStr, AfterValidator(check_credential)]
BearerToken = Annotated[Credential, AfterValidator(check_bearer)]
Headers = Annotated[dict[str, str | SecretStr], BeforeValidator(wrap_headers)]


def _wrap_value(name: str, value: Any) -> str | SecretStr:
    text = _reveal(value)
    if not isinstance(text, str):
        raise ValueError(f"the value of {name} must be a string")  # noqa: TRY004 - pydantic's way
    return SecretStr(text) if looks_secret(name, text) else text


def _reveal(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _check_host(host: str, authority: str) -> None:
    # urlsplit takes [::1]a for ::1.
    if _HOST.fullmatch(host) or (_BRACKETED.fullmatch(authority) and "%" not in host):
        return
    if host.isascii() or not _can_be_sent_to(host):
        raise ValueError("the host name is malformed; check its spelling")


def _can_be_sent_to(host: str) -> bool:
    import idna

    from shared.runtime.outbound.targets import parse_url

    try:
        return bool(idna.encode(host, uts46=True) and parse_url(f"https://{host}/"))
    except AddressBlocked:
        return True  # well-formed; whether it may be reached is said when it is tried
    except (idna.IDNAError, BadRequest):
        return False
