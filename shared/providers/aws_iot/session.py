"""Session: what devices publish, read by MQTT at the account's data endpoint.

Who connects is proven by a client certificate, or by a signature in the address of a WebSocket. AWS keeps a session for
an hour unless that was raised for the account, and brings what it stored back at 10 messages a second. It sends a
message again under another packet id and does not say so, so none is taken for another but by an id of its own. MQTT 5
is spoken, by which AWS says for how long it keeps the session, and why it refuses. Source: AWS IoT's documentation of
its protocols and of persistent sessions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from shared.provider import (
    MQTT_5,
    Batch,
    Broker,
    BrokerPlan,
    CredentialsRefused,
    Deadline,
    ProtocolUnsupported,
    Tls,
    load_client,
    make_tls,
)
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import find_data_endpoint
from shared.providers.aws_iot.decoder import AwsDecoder
from shared.providers.aws_iot.mqtt_fields import HTTPS_PORT, MQTT_PORT
from shared.providers.aws_iot.roles import find_keys, forget_keys
from shared.providers.aws_iot.signing import SOCKET, Scope, sign_socket

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

ALPN = "x-amzn-mqtt-ca"
PATH = "/mqtt"
SIGNING_SECONDS = 10.0

STORED = (
    "What comes while nobody is connected, AWS keeps for the session's expiry, an hour unless it was raised for the "
    "account, and brings back at 10 messages a second: run a worker, which stays connected, or have rules push."
)
NO_IDS = (
    "AWS may send a message again under another packet id, and does not say so: messages are stored at least once. Set "
    "event_id_path where devices give an id, and those are stored exactly once."
)
IDS = (
    "AWS may send a message again under another packet id, and does not say so: messages with an id at event_id_path "
    "are stored exactly once, others at least once."
)
BY_CODEC = (
    "AWS may send a message again under another packet id, and does not say so: messages that the codec gives an id "
    "are stored exactly once, others at least once."
)
SILENT = (
    "AWS closed the connection without an answer: it does not know the certificate in this region, the certificate is "
    "not active, or its policy does not let it connect."
)


def poll_account(aws: AwsIot, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """One session; see shared/providers/mqtt/session.py. Raises OutsideErrors."""
    plan = make_plan(aws, deadline)
    with explain_refusals(aws, plan):
        yield from load_client().poll(plan, state, deadline)


@contextmanager
def explain_refusals(aws: AwsIot, plan: BrokerPlan) -> Iterator[None]:
    """Say with a refusal what it takes to be let in; a session of a role that was refused is not used again."""
    try:
        yield
    except ProtocolUnsupported:
        raise CredentialsRefused(f"{SILENT} {explain_policy(plan)}") from None
    except CredentialsRefused as refused:
        if plan.broker.sign_path:
            forget_keys(aws.account)
        raise CredentialsRefused(f"{refused.detail} {explain_policy(plan)}") from None


def explain_policy(plan: BrokerPlan) -> str:
    """What the policy of a certificate, a key or a role has to allow."""
    return (
        f"The policy has to allow iot:Connect on client/{plan.client_id}, and on client/{plan.client_id[:14]}-* for "
        "tests, iot:Subscribe on topicfilter/… and iot:Receive on topic/… of the topics."
    )


def make_plan(aws: AwsIot, deadline: Deadline) -> BrokerPlan:
    """What the session needs to know. OutsideErrors where AWS has to be asked for the data endpoint."""
    address = _find_address(aws, deadline)
    client_id = aws.client_id or f"di-{aws.identity.integration_id}"
    return BrokerPlan(
        broker=_describe_certified(aws, address)
        if aws.client_certificate
        else _describe_signed(aws, address),
        client_id=client_id,
        filters=aws.topics,
        decoder=AwsDecoder(aws.make_dialect(), aws.topic_rules, client_id),
        protocols=(MQTT_5,),
        open_codec=partial(aws.open_codec, "codec") if aws.codec else None,
        owner=aws.identity.organization_id,
        knows_again=False,
        queue_limits=frozenset(),
        limits={"stored": STORED, **_find_promise(aws)},
    )


def _find_promise(aws: AwsIot) -> dict[str, str]:
    if aws.codec:
        return {"by_codec": BY_CODEC}
    return {"ids": IDS} if aws.event_id_path else {"no_ids": NO_IDS}


def _find_address(aws: AwsIot, deadline: Deadline) -> SplitResult:
    if aws.has_account and not (aws.client_certificate and aws.data_endpoint):
        return urlsplit(find_data_endpoint(aws.account, deadline))
    return urlsplit(aws.endpoint_url or f"https://{aws.data_endpoint}")


def _describe_certified(aws: AwsIot, address: SplitResult) -> Broker:
    tls = make_tls(vars(aws), alpn=() if aws.mqtt_port == MQTT_PORT else (ALPN,))
    return Broker(address.hostname or "", aws.mqtt_port, tls=tls, has_options=False)


def _describe_signed(aws: AwsIot, address: SplitResult) -> Broker:
    is_secured = address.scheme == "https"
    return Broker(
        address.hostname or "",
        address.port or (HTTPS_PORT if is_secured else 80),
        websocket_path=PATH,
        tls=Tls() if is_secured else None,
        sign_path=partial(_sign_path, aws.account, address.netloc),
        has_options=False,
    )


def _sign_path(account: Account, host: str, path: str) -> str:
    keys, scope = find_keys(account, Deadline(SIGNING_SECONDS)), Scope(SOCKET, account.region)
    return f"{path}?{sign_socket(host, path, keys, scope, datetime.now(UTC))}"
