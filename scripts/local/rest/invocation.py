"""SQL of a function call: its arguments from the body or the query string, its result as a value or as a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from psycopg.sql import SQL, Composable

from scripts.local.rest.answer import REPLY_SETTINGS
from scripts.local.rest.binding import (
    JSONB,
    Binder,
    Value,
    bind_bytes,
    bind_json,
    bind_jsonb,
    bind_text,
    join,
    quote,
)
from scripts.local.rest.call import Media
from scripts.local.rest.filters import make_array
from scripts.local.rest.schema import Argument, Function

NOTHING = SQL("")
# For these it makes no difference whether their value comes out of json or jsonb. A text would: `1e5` stays as it was
# written in the one and becomes 100000 in the other.
SAME_FROM_JSONB = {
    "jsonb",
    "uuid",
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "date",
    "timestamp with time zone",
    "timestamp without time zone",
}


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function with its arguments in SQL; `source` is what they are read from, if not bound one by one."""

    function: Function
    arguments: Composable
    source: Composable | None = None

    def render_value(self) -> Composable:
        """`function(arguments)`."""
        return SQL("{}({})").format(quote("public", self.function.name), self.arguments)

    def render_from(self) -> Composable:
        """The `from` clause the arguments need, if any."""
        return SQL(" from {}").format(self.source) if self.source is not None else NOTHING

    def render_table(self, alias: str) -> Composable:
        """The function as a table, for the `from` clause of a reading."""
        table = SQL("{} as {}").format(self.render_value(), quote(alias))
        return table if self.source is None else SQL("{} cross join lateral {}").format(self.source, table)

    def render_single(self, media: Media) -> Composable:
        """The statement of a function that returns one value, or none."""
        if self.function.returns == "void":
            body = SQL("({})::text")
        elif media.strip_nulls:
            body = SQL("json_strip_nulls(to_json({}))::text")
        else:
            body = SQL("to_json({})::text")
        return SQL("select {}, 1, null::bigint, {}{}").format(
            body.format(self.render_value()), SQL(REPLY_SETTINGS), self.render_from()
        )


@lru_cache(maxsize=256)
def render_plain(function: Function, keys: tuple[str, ...], media: Media) -> bytes:
    """The statement of the hot path, whose one value is the body; it depends on nothing but the keys."""
    return invoke_with_body(function, keys, b"", Binder()).render_single(media).as_bytes(None)


@lru_cache(maxsize=256)
def render_guarded(function: Function, keys: tuple[str, ...], media: Media) -> bytes:
    """The same for a jsonb body ($1) whose keys were not looked at: it calls nothing unless they are those in $2."""
    guard = (
        ' where (select array_agg(pgrst_key order by pgrst_key collate "C")'
        " from jsonb_object_keys($1) as pgrst_key) = $2::text[]"
    )
    return render_plain(function, keys, media) + guard.encode()


def make_body(function: Function, keys: tuple[str, ...], content: bytes) -> Value:
    """The body for binding: as jsonb, which is parsed once only, where that makes no other difference."""
    types = {argument.type for argument in function.arguments if argument.name in keys}
    return bind_jsonb(content) if "jsonb" in types and types <= SAME_FROM_JSONB else bind_json(content)


def invoke_with_body(function: Function, keys: tuple[str, ...], content: bytes, binder: Binder) -> Invocation:
    """The call with the arguments that the body names; Postgres takes the body apart."""
    given = [argument for argument in function.arguments if argument.name in keys]
    if not given:
        return Invocation(function, NOTHING)
    arguments = [_pass(argument, quote("pgrst_arguments", argument.name)) for argument in given]
    definition = join([SQL("{} {}").format(quote(argument.name), SQL(argument.type)) for argument in given])
    body = make_body(function, keys, content)
    to_record = "jsonb_to_record" if body.oid == JSONB else "json_to_record"
    source = SQL(f"{to_record}({{}}) as pgrst_arguments({{}})").format(binder.bind(body), definition)
    return Invocation(function, join(arguments), source)


def invoke_with_text(function: Function, given: dict[str, list[str]], binder: Binder) -> Invocation:
    """The call with the arguments of a query string; one that is given repeatedly fills a variadic argument."""
    arguments = []
    for argument in function.arguments:
        if argument.name in given:
            values = given[argument.name]
            text = make_array(values) if argument.variadic else values[-1]
            arguments.append(_pass(argument, SQL("{}::{}").format(binder.bind(text), SQL(argument.type))))
    return Invocation(function, join(arguments))


def bind_whole(function: Function, content_type: str, content: bytes) -> Value:
    """The body for binding as the one unnamed argument."""
    if content_type == "application/json":
        return bind_jsonb(content) if function.arguments[0].type == "jsonb" else bind_json(content)
    return (
        bind_text(content.decode("utf-8", "replace")) if content_type == "text/plain" else bind_bytes(content)
    )


def invoke_with_whole(function: Function, value: Value, binder: Binder) -> Invocation:
    """The call with the whole body as the one unnamed argument."""
    return Invocation(function, SQL("{}::{}").format(binder.bind(value), SQL(function.arguments[0].type)))


def _pass(argument: Argument, value: Composable) -> Composable:
    template = "variadic {} => {}" if argument.variadic else "{} => {}"
    return SQL(template).format(quote(argument.name), value)
