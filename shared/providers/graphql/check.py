"""Check: where it is, whether it answers, what the query finds, and whether a subscription can be begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from shared.provider import Check, Deadline, OutsideError, explain_url, find_http_url, run_checks
from shared.providers.graphql.api import GraphqlApi
from shared.providers.graphql.catch_up import ask_first
from shared.providers.graphql.feed import is_elsewhere, list_ways, make_feed
from shared.providers.graphql.reading import ResultReader

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

CHECK_SECONDS = 9.0
LISTEN_SECONDS = 1.0
"""How long a server may take to refuse a subscription: no protocol says that it was begun."""

SHOWN = 5
PING = "{ __typename }"
Step = tuple[str, Callable[[], str]]


def check_api(graphql: Graphql) -> Iterator[Check]:
    """Each way in that the config has, step by step."""
    yield from run_checks(_list_steps(graphql, Deadline(CHECK_SECONDS)))


def _list_steps(graphql: Graphql, deadline: Deadline) -> Iterator[Step]:
    if graphql.codec:
        yield "codec", graphql.check_codec
    yield "address", partial(_explain_addresses, graphql, deadline)
    yield "api", partial(_ask_nothing, graphql, deadline)
    if graphql.query:
        yield "query", partial(_ask_first, graphql, deadline)
    if graphql.subscription:
        yield "subscription", partial(_subscribe, graphql, deadline)


def _explain_addresses(graphql: Graphql, deadline: Deadline) -> str:
    addresses = [graphql.endpoint]
    if graphql.subscription and graphql.protocol != "sse":
        addresses.append(find_http_url(graphql.socket_url))
    told = [explain_url(address, deadline) for address in addresses]
    return " ".join(dict.fromkeys(told))


def _ask_nothing(graphql: Graphql, deadline: Deadline) -> str:
    with GraphqlApi(graphql.access, deadline) as api:
        api.run(PING, {})
    return "It answers as GraphQL does."


def _ask_first(graphql: Graphql, deadline: Deadline) -> str:
    with GraphqlApi(graphql.access, deadline) as api:
        read = ask_first(graphql, api)
    names = [name for name, _ in ResultReader(graphql, None, None).name(read.items[:SHOWN])]
    cursor = "" if graphql.query_cursor is None else f" The cursor behind them: {read.cursor!r}."
    return graphql.mask_text(f"It found {len(read.items):,} items. {', '.join(names)}{cursor}".strip())


def _subscribe(graphql: Graphql, deadline: Deadline) -> str:
    ResultReader(graphql, graphql.subscription_items, graphql.subscription_cursor).check()
    ways = list_ways(graphql, "")
    for way in ways:
        with make_feed(graphql, way) as feed:
            try:
                feed.open(graphql.fill_subscription(graphql.first_cursor), deadline)
            except OutsideError as error:
                if way == ways[-1] or not is_elsewhere(error):
                    raise
                continue
            told = feed.receive(min(LISTEN_SECONDS, deadline.remaining()))
            return f"It was begun, by {feed.spoken}.{' Results came at once.' if told else ''}"
    return "There is no way to subscribe."
