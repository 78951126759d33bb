"""Chooses the function an rpc means, by the names of the arguments it is given."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.local.rest.errors import RestError
from scripts.local.rest.schema import Argument, Function, Schema

UNNAMED_TYPES = {
    "application/json": ("json", "jsonb"),
    "text/plain": ("text",),
    "application/octet-stream": ("bytea",),
}


def find_function(schema: Schema, name: str, given: Iterable[str]) -> Function | None:
    """The one function that takes exactly these arguments; PGRST203 (300) where several do."""
    names = set(given)
    found = [function for function in schema.functions.get(name, ()) if _takes(function, names)]
    if len(found) > 1:
        raise _refuse_ambiguous(found)
    return found[0] if found else None


def find_unnamed(schema: Schema, name: str, content_type: str) -> Function | None:
    """The function whose one argument has no name and takes the whole body."""
    types = UNNAMED_TYPES.get(content_type, ())
    for function in schema.functions.get(name, ()):
        if [argument.name for argument in function.arguments] == [""] and function.arguments[0].type in types:
            return function
    return None


def takes_whole(schema: Schema, name: str) -> bool:
    """Whether there is one function of that name, and a body of JSON is its one argument."""
    return (
        len(schema.functions.get(name, ())) == 1
        and find_unnamed(schema, name, "application/json") is not None
    )


def list_argument_names(schema: Schema, name: str) -> set[str]:
    """Every argument name of every function of that name."""
    return {argument.name for function in schema.functions.get(name, ()) for argument in function.arguments}


def refuse_unknown(name: str, given: Iterable[str], *, with_body: bool) -> RestError:
    """404 PGRST202."""
    names = list(given)
    listed = f"({', '.join(names)})" if names else " without parameters"
    searched = f" with parameter{'s' if len(names) > 1 else ''} {', '.join(names)}" if names else listed
    unnamed = " or with a single unnamed json/jsonb parameter" if with_body else ""
    return RestError(
        404,
        "PGRST202",
        f"Could not find the function public.{name}{listed} in the schema cache",
        details=f"Searched for the function public.{name}{searched}{unnamed}, but no matches were found in the schema "
        "cache.",
    )


def _takes(function: Function, names: set[str]) -> bool:
    known = {argument.name for argument in function.arguments}
    required = {
        argument.name for argument in function.arguments if argument.required and not argument.variadic
    }
    return "" not in known and required <= names <= known


def _refuse_ambiguous(found: list[Function]) -> RestError:
    choices = ", ".join(f"public.{function.name}({_describe(function.arguments)})" for function in found)
    return RestError(
        300,
        "PGRST203",
        f"Could not choose the best candidate function between: {choices}",
        hint="Try renaming the parameters or the function itself in the database so function overloading can be "
        "resolved",
    )


def _describe(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(f"{argument.name} => {argument.type}" for argument in arguments)
