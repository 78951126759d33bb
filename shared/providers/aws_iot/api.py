"""AWS's API: each call by its permission, signed anew at each try, its refusals in AWS's words.

An error is the header `x-amzn-errortype: ResourceNotFoundException[:…]` and the body `{"message"}`. Too many calls are
400 ThrottlingException at `iot`, and 429 at the data endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, ClassVar

from shared.provider import (
    Access,
    CredentialsRefused,
    Deadline,
    Item,
    JsonApi,
    OutboundReply,
    OutboundRequest,
    ProtocolFailed,
    TimedOut,
)
from shared.providers.aws_iot.account import ENDPOINT_LASTS, Account, locate_control
from shared.providers.aws_iot.actions import ACTIONS, Place
from shared.providers.aws_iot.hosts import check_data_host
from shared.providers.aws_iot.memory import Memory
from shared.providers.aws_iot.roles import THROTTLED, find_keys, forget_keys, pardon_role
from shared.providers.aws_iot.signing import Scope, sign_request

ERROR_HEADER = "x-amzn-errortype"
SERVICES: dict[Place, str] = {"iot": "iot", "data": "iotdata", "s3": "s3"}
"""By where a call goes, the service that its signature is for."""

LONGEST_TOKEN = 4_096
ALL = 100
"""Pages of a list that is read whole."""


class AwsApi(JsonApi):
    """One account's calls at one endpoint; see `JsonApi`. `with open_api(account, "iot", deadline) as api`."""

    credentials: ClassVar[str] = "the credentials"

    def __init__(
        self, account: Account, place: Place, deadline: Deadline, base_url: str, *, waits: bool = True
    ) -> None:
        self.account, self.place = account, place
        self._keys = find_keys(account, deadline)
        self._scope = Scope(SERVICES[place], account.region)
        self._action = ""
        self._extra: Mapping[str, str] = {}
        self.error = ""
        """AWS's name for what the last answer says went wrong."""
        secrets = [each for each in (self._keys.secret, self._keys.token) if each]
        super().__init__(Access("AWS", base_url, {}, secrets, account.owner), deadline, waits=waits)

    def run(
        self,
        action: str,
        *parts: str,
        body: object = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Any:
        """What the call of that permission answers; without `again` what may have had its effect is not repeated."""
        method, path, place = ACTIONS[action]
        assert place == self.place  # noqa: S101 - a call at another endpoint is a defect
        self._action, self._extra = action, headers or {}
        escaped = [self.join_path(part)[1:] for part in parts]
        try:
            return self.call(method, path.format(*escaped), body, query=query, again=again)
        except CredentialsRefused:
            forget_keys(self.account)
            raise

    def list_all(
        self, action: str, *parts: str, items: str, query: Mapping[str, object] | None = None
    ) -> list[Any]:
        """Everything that a list call answers under `items`; ProtocolFailed beyond `ALL` pages."""
        found: list[Any] = []
        token: str | None = None
        for _ in range(ALL):
            reply = self.run(action, *parts, query={**(query or {}), "nextToken": token})
            found += read_items(reply, items)
            token = Item(reply).text("nextToken", LONGEST_TOKEN)
            if token is None:
                return found
        raise ProtocolFailed(f"AWS's list of {items} has more than {ALL} pages.")

    def prepare(self, request: OutboundRequest) -> OutboundRequest:
        """Signed as of now."""
        asked = replace(request, headers={**request.headers, **self._extra})
        return sign_request(asked, self._keys, self._scope, datetime.now(UTC))

    def read_status(self, reply: OutboundReply) -> int:
        """429 for whatever says that there are too many calls."""
        self.error = reply.headers.get(ERROR_HEADER, "").partition(":")[0]
        return HTTPStatus.TOO_MANY_REQUESTS if self.error in THROTTLED else reply.status

    def read_refusal(self, reply: OutboundReply, document: object) -> str:
        """AWS's name for the error, its words, and the permission that was needed."""
        words = self.read_words(document) or str(Item(document).text("Message") or "")
        said = " ".join(filter(None, (self.error, words)))
        if reply.status == HTTPStatus.FORBIDDEN and self._action not in said:
            said = f"{said} ({self._action})"
        return said


def open_api(account: Account, place: Place, deadline: Deadline, *, waits: bool = True) -> AwsApi:
    """For use in a `with`. Errors: OutsideErrors, where a role has to be assumed or the data endpoint looked up."""
    if place == "data":
        return AwsApi(account, place, deadline, find_data_endpoint(account, deadline), waits=waits)
    address = account.locate("s3") if place == "s3" else locate_control(account)
    return AwsApi(account, place, deadline, address, waits=waits)


def find_data_endpoint(account: Account, deadline: Deadline) -> str:
    """The config's, else what the account says of itself; never a host that is not AWS's."""
    if account.data_endpoint:
        return account.locate_data(account.data_endpoint)
    return account.locate_data(
        _endpoints.find(account, deadline, lambda: (_ask_endpoint(account, deadline), _tomorrow()))
    )


def pardon_refusals(account: Account) -> None:
    """Have AWS asked at once for what it refused before."""
    pardon_role(account)
    _endpoints.pardon(account)


def _ask_endpoint(account: Account, deadline: Deadline) -> str:
    if deadline.expired:
        raise TimedOut("There was no time left to ask AWS for the data endpoint.")
    with open_api(account, "iot", deadline) as api:
        reply = api.run("iot:DescribeEndpoint", query={"endpointType": "iot:Data-ATS"})
    try:
        return check_data_host(Item(reply).text("endpointAddress") or "", account.region)
    except ValueError:
        raise ProtocolFailed(
            "AWS named a data endpoint that is none of the region; set data_endpoint."
        ) from None


def _tomorrow() -> datetime:
    return datetime.now(UTC) + ENDPOINT_LASTS


def read_items(reply: object, name: str) -> list[Any]:
    """What a list call answers under `name`; ProtocolFailed where it is no list."""
    items = reply.get(name, []) if isinstance(reply, dict) else None
    if not isinstance(items, list):
        raise ProtocolFailed(f"AWS answered without a list of {name}.")
    return items


_endpoints: Memory[str] = Memory()
