"""The console's files: found by their names alone, under whatever prefix, with strict headers and long lives."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from scripts.local.stack import ROOT
from shared.runtime.settings import list_variables
from shared.runtime.web.console import Console

PAGE = """<!doctype html>
<meta name="di-config" data-supabase-url="{{ url }}" data-anon-key="{{ key }}" data-functions-url="{{ functions }}">
<script type="module" src="console/v/{{ version }}/page.js"></script>"""
MODULE = "export const sample = 1\n" * 100
ENVIRONMENT = {
    "SUPABASE_URL": "https://acme.supabase.co/",
    "SUPABASE_ANON_KEY": 'sb_publishable_"<&',
    "FUNCTIONS_URL": "https://functions.example.com/functions/v1",
    "SUPABASE_SERVICE_ROLE_KEY": "canary-service-key",
    "SCHEDULER_SECRET": "canary-scheduler-secret",
}
PREFIXES = [
    "/functions/v1/console",
    "/functions/v1/console/",
    "/console",
    "/console/",
    "/",
    "/console/console/console/",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "elements").mkdir(parents=True)
    (site / "index.html").write_text(PAGE)
    (site / "page.css").write_text("body { margin: 0 }")
    (site / "elements" / "index.js").write_text(MODULE)
    (site / "elements" / "package.json").write_text(
        '{"name": "elements", "version": "1.0.0", "type": "module"}'
    )
    (site / "elements" / ".hidden.js").write_text("canary")
    (site / "notes.txt").write_text("canary")
    (tmp_path / "outside.js").write_text("canary")
    return site


def serve(folder: Path, environment: dict[str, str] = ENVIRONMENT) -> FlaskClient:
    app, console = flask.Flask(__name__), Console(environment, folder)

    @app.before_request
    def run() -> flask.Response:
        return console.answer(flask.request)

    return app.test_client()


@pytest.fixture
def client(folder: Path) -> FlaskClient:
    return serve(folder)


def read_version(client: FlaskClient) -> str:
    return client.get("/").headers["X-Console-Version"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_page_and_what_it_links_to_are_found_under_every_prefix(client: FlaskClient, prefix: str) -> None:
    page = client.get(prefix)
    link = prefix[: prefix.rindex("/") + 1] + "console/page.css"

    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert client.get(link).text == "body { margin: 0 }"


def test_the_page_knows_the_project_and_no_secret(client: FlaskClient) -> None:
    text = client.get("/console/").text

    assert 'data-supabase-url="https://acme.supabase.co"' in text
    assert 'data-anon-key="sb_publishable_&quot;&lt;&amp;"' in text
    assert 'data-functions-url="https://functions.example.com/functions/v1"' in text
    assert "{{" not in text
    assert "canary" not in text


def test_the_address_that_browsers_know_goes_before_the_one_inside(folder: Path) -> None:
    inside = {"SUPABASE_URL": "http://kong:8000", "SUPABASE_PUBLIC_URL": "https://supabase.example.com"}

    page = serve(folder, inside).get("/")

    assert "kong" not in page.text
    assert 'data-functions-url="https://supabase.example.com/functions/v1"' in page.text


def test_a_key_of_the_service_is_never_published(folder: Path) -> None:
    wrong = ENVIRONMENT | {"SUPABASE_ANON_KEY": "sb_secret_canary"}

    reply = serve(folder, wrong).get("/")

    assert reply.status_code == 500
    assert b"canary" not in reply.data


def test_what_it_reads_of_the_environment_is_in_the_model_of_settings() -> None:
    source = (ROOT / "shared" / "runtime" / "web" / "console.py").read_text()
    read = {*re.findall(r'_read\("([A-Z_]+)"\)', source)}

    known = {variable.name for variable in list_variables() if "console" in variable.used_by}

    assert read == known - {"GOOGLE_CLOUD_PROJECT"}


def test_the_page_may_load_nothing_from_elsewhere_and_call_the_project_alone(client: FlaskClient) -> None:
    headers = client.get("/").headers

    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self' https://acme.supabase.co https://functions.example.com",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers


def test_modules_may_be_imported_by_any_page(client: FlaskClient) -> None:
    reply = client.get("/functions/v1/console/elements/index.js")

    assert (reply.text, reply.mimetype) == (MODULE, "text/javascript")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_a_module_is_asked_for_again_and_sent_once(client: FlaskClient) -> None:
    first = client.get("/console/elements/index.js")
    again = client.get("/console/elements/index.js", headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")


def test_under_its_version_a_module_is_kept(client: FlaskClient) -> None:
    reply = client.get(f"/functions/v1/console/v/{read_version(client)}/elements/index.js")

    assert (reply.text, reply.headers["Cache-Control"]) == (MODULE, "public, max-age=31536000, immutable")


def test_another_version_gets_what_there_is_and_keeps_nothing(client: FlaskClient) -> None:
    reply = client.get("/console/v/0123456789abcdef/elements/index.js")

    assert (reply.text, reply.headers["Cache-Control"]) == (MODULE, "no-cache")


def test_the_version_is_another_where_a_file_is(client: FlaskClient, folder: Path) -> None:
    before, same = read_version(client), read_version(serve(folder))

    (folder / "page.css").write_text("body { margin: 1px }")

    assert same == before != read_version(serve(folder))


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "*"])
def test_it_is_compressed_for_those_who_take_that(client: FlaskClient, accepted: str) -> None:
    plain = client.get("/console/elements/index.js")
    packed = client.get("/console/elements/index.js", headers={"Accept-Encoding": accepted})

    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.data).decode() == MODULE
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", ""])
def test_it_is_not_for_others(client: FlaskClient, accepted: str) -> None:
    reply = client.get("/console/elements/index.js", headers={"Accept-Encoding": accepted})

    assert reply.text == MODULE


@pytest.mark.parametrize(
    "path",
    [
        *("nowhere.js", "elements", "elements/", "elements//index.js", "notes.txt", "elements/.hidden.js"),
        *(
            "../outside.js",
            "..%2foutside.js",
            "%2e%2e/outside.js",
            "elements/../../outside.js",
            "..\\outside.js",
        ),
        *(
            "v//elements/index.js",
            "v/x/../../outside.js",
            "v/x/index.html",
            "%00",
            "index.html%00.js",
            "C:/x.js",
        ),
        *("/etc/passwd", "file:///etc/passwd", "v/../elements/index.js"),
    ],
)
def test_nothing_else_is_there(client: FlaskClient, path: str) -> None:
    reply = client.get(f"/functions/v1/console/{path}")

    assert (reply.status_code, reply.mimetype) == (404, "application/problem+json")
    assert reply.get_json(force=True)["code"] == "not_found"
    assert b"canary" not in reply.data


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_sent_to_it(client: FlaskClient, method: str) -> None:
    reply = client.open("/console/", method=method, data=b"x")

    assert (reply.status_code, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_head_and_preflight_are_answered(client: FlaskClient) -> None:
    head, preflight = client.head("/console/elements/index.js"), client.options("/console/elements/index.js")

    assert (head.status_code, head.data, head.content_length) == (200, b"", len(MODULE))
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (204, "*")


def test_the_elements_come_as_a_package_too_and_always_the_same(client: FlaskClient, folder: Path) -> None:
    reply = client.get("/console/elements.tgz", headers={"Accept-Encoding": "gzip"})

    with tarfile.open(fileobj=io.BytesIO(reply.data), mode="r:gz") as archive:
        names = archive.getnames()
        module = archive.extractfile("package/index.js")
        assert module is not None
        assert module.read().decode() == MODULE
    assert names == ["package/index.js", "package/package.json"]
    assert (reply.mimetype, reply.headers.get("Content-Encoding")) == ("application/gzip", None)
    assert serve(folder).get("/elements.tgz").data == reply.data


def test_without_its_files_there_is_nothing_and_no_crash(tmp_path: Path) -> None:
    assert serve(tmp_path / "none").get("/console/").status_code == 404


def test_loading_it_loads_neither_models_nor_clients() -> None:
    program = "import functions.console, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    heavy = {"pydantic", "httpx", "aiohttp", "structlog", "cryptography", "jwt", "paho"}

    assert not heavy & {*json.loads(done.stdout)}


def test_the_tag_of_a_file_is_of_what_is_in_it(client: FlaskClient) -> None:
    reply = client.get("/console/elements/index.js")

    assert reply.headers["ETag"].strip('"') == hashlib.sha256(MODULE.encode()).hexdigest()[:16]
