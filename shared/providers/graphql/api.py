"""Operations over HTTP: a POST of JSON each, whose result is data, errors, or both."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from shared.provider import UNLIFTED, Item, JsonApi, Lifted, ProtocolFailed, read_lifted
from shared.providers.graphql.refusals import describe_errors, explain_errors, list_errors
from shared.providers.graphql.variables import Variables


class Result(NamedTuple):
    """What an operation came to. `errors` says, in words, what is missing in the data; None where nothing is.

    `lifted` is what lies too deep in it.
    """

    data: Any
    errors: str | None = None
    lifted: Lifted = UNLIFTED


class GraphqlApi(JsonApi):
    """One endpoint's operations; see JsonApi."""

    credentials: ClassVar[str] = "the credentials"
    _lifted = UNLIFTED
    """Of the last answer."""

    def run(self, document: str, variables: Variables, *, again: bool = True) -> Result:
        """The result, where it has data. `again`: whether what may have had its effect may be repeated.

        Errors: those of JsonApi; what `errors` say where there is no data.
        """
        reply = self.call("POST", "", {"query": document, "variables": variables}, again=again)
        return read_result(self, reply)._replace(lifted=self._lifted)

    def read_body(self, body: bytes) -> Any:
        """The JSON of an answer, mended where it is not quite that, without what lies too deep."""
        (document, _, error), self._lifted = read_lifted(body)
        if error:
            raise ValueError(error)
        return document

    def read_words(self, document: object) -> str:
        """The words of a refusal: GraphQL's, else those of a gateway before it."""
        item = Item(document)
        if errors := item.fields.get("errors"):
            return describe_errors(list_errors(errors))
        return item.text("message") or item.text("error") or item.text("error_description") or ""


def read_result(api: GraphqlApi, reply: Any) -> Result:
    """A reply as the result of an operation. Errors: ProtocolFailed, what `errors` say."""
    item = Item(reply)
    if not {"data", "errors"} & item.fields.keys():
        raise ProtocolFailed(
            f"{api.access.name} answered JSON that is no result of GraphQL; check the address."
        )
    data, errors = item.fields.get("data"), item.fields.get("errors")
    if data is None:
        raise explain_errors(api.access.name, errors or [], api.mask_words)
    return Result(data, api.mask_words(describe_errors(list_errors(errors))) if errors else None)
