"""Check: whose the bot's token is."""

from __future__ import annotations

from shared.provider import Access, Check, CredentialsRefused, Deadline, JsonApi, run_check

CHECK_SECONDS = 9.0


def check_token(access: Access) -> Check:
    """Ask Slack whose it is; its name and its workspace."""
    return run_check("token", lambda: _ask(access))


def _ask(access: Access) -> str:
    with JsonApi(access, Deadline(CHECK_SECONDS)) as api:
        said = api.call("POST", "/auth.test", {})
    if not isinstance(said, dict) or said.get("ok") is not True:
        raise CredentialsRefused(
            "Slack refused the bot's token: enter that of an installed app, which begins with xoxb-."
        )
    return f"{str(said.get('user'))[:80]} in {str(said.get('team'))[:80]}"
