"""Credentials that a job or a command was refused for: counted, for an alert that says so."""

from __future__ import annotations

from shared.runtime.database.client import Database
from shared.runtime.errors import CredentialsRefused, Problem
from shared.runtime.log import get_log

MOST_WORDS = 1_500


def explain_refusal(database: Database, integration_id: str, call: str, code: str | None, words: str) -> None:
    """Count it where the code says that it was for the credentials; what can't be counted is in the log alone.

    `call` is what was refused, `command` or the kind of a job: another may lack no right.
    """
    if code != CredentialsRefused.code:
        return
    try:
        database.call(
            "explain_failure",
            p_integration_id=integration_id,
            p_code=code,
            p_message=words[:MOST_WORDS],
            p_call=call,
        )
    except Problem as problem:
        get_log().warning("a refusal could not be counted", code=problem.code, detail=problem.detail)
