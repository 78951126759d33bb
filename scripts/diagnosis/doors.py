"""The functions as frontends and senders reach them: the right thing answers, and lets browsers in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx

from scripts.diagnosis.finding import Finding
from scripts.diagnosis.project import SECONDS, compare_clock
from shared.runtime.settings import Settings

PROBLEM = "application/problem+json"
MEANINGS = {
    401: "Something in front of it wants a token: deploy the Edge Functions with verify_jwt = false (config.toml).",
    404: "No function is there: supabase functions deploy --use-api, or set FUNCTIONS_URL to where they are.",
    500: "Its Edge Function has no DEVICE_INTEGRATIONS_URL: supabase secrets set DEVICE_INTEGRATIONS_URL=...",
    503: "The Edge Function does not reach the function: is DEVICE_INTEGRATIONS_URL right, and the service up?",
}


def look_at_doors(settings: Settings) -> Iterator[Finding]:
    """Each door that FUNCTIONS_URL leads to, with the answer that only our function gives."""
    with httpx.Client(timeout=SECONDS, follow_redirects=False) as client:
        for function in ("integrations", "commands"):
            # Without a session: who answers 401 as a problem document is the function itself.
            yield _ask(client, "GET", f"{settings.public_url}/{function}/{uuid.UUID(int=0)}", {401})
        for function in ("receive", "golioth-webhook"):
            # For an integration that does not exist, as a sender that has nothing to prove.
            yield _ask(client, "POST", f"{settings.public_url}/{function}/{uuid.UUID(int=0)}", {401})
        yield _ask(client, "GET", f"{settings.public_url}/console/{uuid.UUID(int=0)}", {404})
        yield from _look_at_origins(client, settings)


def _ask(client: httpx.Client, method: str, url: str, wanted: set[int]) -> Finding:
    name = f"{method} {url.rpartition('/')[0]}"
    try:
        reply = client.request(method, url, json={} if method == "POST" else None)
    except httpx.HTTPError as error:
        return Finding(
            name, "missing", f"It does not answer ({type(error).__name__}): is FUNCTIONS_URL right?"
        )
    if reply.headers.get("Content-Type", "").startswith(PROBLEM) and reply.status_code in wanted:
        return Finding(name, "ok", "the function answers")
    usual = "Something else is there: set FUNCTIONS_URL to where the functions are."
    return Finding(
        name, "missing", f"It answers {reply.status_code}. {MEANINGS.get(reply.status_code, usual)}"
    )


def _look_at_origins(client: httpx.Client, settings: Settings) -> Iterator[Finding]:
    origin = settings.allowed_origins.split(",")[0].strip()
    asked = {
        "Origin": "https://app.example.com" if origin == "*" else origin,
        "Access-Control-Request-Method": "POST",
    }
    try:
        reply = client.options(f"{settings.public_url}/integrations", headers=asked)
    except httpx.HTTPError:
        return
    allowed = reply.headers.get("Access-Control-Allow-Origin")
    if allowed in {"*", asked["Origin"]}:
        yield Finding("browsers", "ok", f"may call from {allowed}")
    else:
        yield Finding("browsers", "missing", f"May not call from {asked['Origin']}: set ALLOWED_ORIGINS.")
    yield compare_clock("clock of the functions", reply)
