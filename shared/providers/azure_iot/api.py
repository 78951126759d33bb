"""The service API of an IoT Hub: signed by the policy's key, its version pinned, its errors in both shapes.

An error is `{"Message": "ErrorCode:DeviceNotOnline;…"}`, or has a JSON text within `Message`: `{"errorCode": 404103,
"message": …}`; the header iothub-errorcode may say it too. 401 says that the key is wrong, or that its policy lacks the
right.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, ClassVar

from shared.provider import (
    Access,
    CredentialsRefused,
    Deadline,
    Item,
    JsonApi,
    OutboundRequest,
    OutsideError,
    ProviderRefused,
    read_document,
)
from shared.providers.azure_iot.sas import sign_resource

NAME = "IoT Hub"
VERSION = "2021-04-12"
SIGNATURE_SECONDS = 600
"""How long a signature of ours is good for: each call has its own."""

METHOD_SECONDS, MARGIN_SECONDS = 40, 5.0
"""How long a method may take at most; together less than the lease of a command, so that nobody else sends it too."""

WORDS_LIMIT = 500
QUOTA, OFFLINE = ("403002", "IotHubQuotaExceeded"), ("404103", "DeviceNotOnline")
_CODE = re.compile(r"ErrorCode:\s*([A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose hub: `host_name` is what is signed, `base_url` where it is; `owner` is our organization."""

    host_name: str
    base_url: str
    policy: str
    key: str = field(repr=False)
    owner: str = ""


class AzureApi(JsonApi):
    """One hub's calls; see JsonApi. What a device that is not online is answered with may pass, other 404 do not."""

    request_seconds: ClassVar[float] = METHOD_SECONDS + MARGIN_SECONDS

    def __init__(self, account: Account, deadline: Deadline, *, waits: bool = True) -> None:
        self._account = account
        self._own: Mapping[str, str] = {}
        self.code = ""
        """What the last refusal calls itself."""
        access = Access(NAME, account.base_url, {}, [account.key], account.owner)
        super().__init__(access, deadline, waits=waits)

    def call(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """As JsonApi has it, with the version."""
        return super().call(
            method, path, body, **how | {"query": {**(how.get("query") or {}), "api-version": VERSION}}
        )

    @contextmanager
    def sending(self, headers: Mapping[str, str]) -> Iterator[None]:
        """These headers go with each call within."""
        self._own = headers
        try:
            yield
        finally:
            self._own = {}

    def prepare(self, request: OutboundRequest) -> OutboundRequest:
        """Signed as of now."""
        account, expiry = self._account, int(time.time()) + SIGNATURE_SECONDS
        signature = sign_resource(account.host_name, account.key, expiry, account.policy)
        # Nor does a signature come back in what is answered.
        self.access.secrets[:] = [account.key, signature]
        return replace(request, headers={**request.headers, **self._own, "Authorization": signature})

    def read_words(self, document: object) -> str:
        """Its message; `code` is set by it."""
        text = Item(document).text("Message", 4 * WORDS_LIMIT) or Item(document).text("message") or ""
        inner = Item(read_document(text.encode())[0]) if text.startswith("{") else Item(None)
        named = _CODE.search(text)
        self.code = str(inner.count("errorCode") or "") or (named[1] if named else "")
        self.code = self.code or str(self.told.get("iothub-errorcode") or "")
        return inner.text("message", WORDS_LIMIT) or text

    def make_refusal(self, status: int, said: str, retry_after: float | None) -> OutsideError:
        """By its code, where that says more than the status."""
        if status == HTTPStatus.UNAUTHORIZED:
            return CredentialsRefused(f"IoT Hub refused the key of the policy, or its rights (401){said}")
        if self.code in OFFLINE:
            words = f"The device is not online{said}"
            return ProviderRefused(words, answered=HTTPStatus.REQUEST_TIMEOUT)
        if self.code in QUOTA:
            words = f"The hub has used up its messages of the day (403){said}"
            return ProviderRefused(words, answered=HTTPStatus.TOO_MANY_REQUESTS, retry_after=retry_after)
        words = f"IoT Hub answered {status}{said}"
        return ProviderRefused(words, answered=status, retry_after=retry_after)
