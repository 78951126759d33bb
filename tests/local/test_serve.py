"""scripts/serve starts everything, says clearly what keeps it from starting, keeps its data, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from scripts.local.binaries import find_binaries
from scripts.local.data_folder import DataFolder
from scripts.local.postgres import Postgres
from scripts.local.processes import Children
from scripts.local.seed import list_users
from scripts.local.stack import ROOT
from tests.ports import find_free_port
from tests.stack import Serve, Stack

NewServe = Callable[..., Serve]

GREETING = """
import functions_framework


@functions_framework.http
def hello_world(request):
    return {"path": request.path, "id": request.args.get("id")}
"""


def accepts(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 0), timeout=2).close()
    except OSError:
        return False
    return True


def wait_until_gone(*urls: str, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while any(accepts(url) for url in urls):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def postmaster_pid(serve: Serve) -> int:
    return int(DataFolder(serve.folder / "data").postgres.joinpath("postmaster.pid").read_text().split()[0])


def wait_for_end(serve: Serve) -> int:
    assert serve.process is not None
    return serve.process.wait(60)


def test_the_ready_file_lists_a_user_for_each_role_in_two_organizations_and_a_stranger(stack: Stack) -> None:
    roles = ["viewer", "member", "admin", "owner"]

    assert [user.role for user in stack.users] == [*roles, *roles, "stranger"]
    assert len({user.organization_id for user in stack.users}) == 3
    assert stack.user("stranger").organization_id is None
    with stack.connect() as connection:
        count = connection.execute("select count(*) from public.organization_members").fetchone()
    assert count == (8,)


def test_both_keys_and_a_users_token_reach_the_rest_api(stack: Stack) -> None:
    for key in (stack.anon_key, stack.service_role_key, stack.token(stack.user("viewer"))):
        headers = {"apikey": stack.anon_key, "Authorization": f"Bearer {key}"}

        reply = httpx.get(f"{stack.url}/rest/v1/organizations?select=name", headers=headers, timeout=60)

        assert reply.status_code in {200, 401}
        assert (reply.status_code == 200) is (key != stack.anon_key)


def test_the_console_is_where_the_ready_file_says(stack: Stack) -> None:
    page = httpx.get(stack.console_url, timeout=60)

    assert stack.console_url == f"{stack.functions_url}/console/"
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_an_unknown_function_is_not_found(stack: Stack) -> None:
    reply = httpx.get(f"{stack.url}/functions/v1/no-such-function", timeout=60)

    assert reply.status_code == 404
    assert reply.json()["code"] == "NOT_FOUND"


def test_data_keys_and_ports_outlive_a_stop_and_the_stop_leaves_nothing(new_serve: NewServe) -> None:
    serve = new_serve()
    first = serve.start()
    with first.connect() as connection:
        connection.execute("create table public.kept as select 42 as answer")

    assert serve.process is not None
    serve.process.terminate()
    assert serve.stop() == 0, "one who asks twice changes nothing"
    assert wait_until_gone(first.url, first.db_url, first.mqtt_url, seconds=1)
    assert not serve.ready_file.exists()
    assert "Traceback" not in serve.output

    second = serve.start()
    assert second == first
    with second.connect() as connection:
        assert connection.execute("select answer from public.kept").fetchone() == (42,)


def test_everything_ends_with_a_killed_parent_and_the_next_start_recovers(new_serve: NewServe) -> None:
    serve = new_serve()
    stack = serve.start()
    assert serve.process is not None

    serve.process.kill()
    serve.process.wait()

    assert wait_until_gone(stack.url, stack.db_url, stack.mqtt_url)
    serve.ready_file.unlink()
    assert serve.start().anon_key == stack.anon_key


@pytest.fixture
def zombie() -> Iterator[int]:
    """The id of a process that has ended and that nobody has waited for."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


@pytest.mark.parametrize("taken_by", ["this program", "a zombie"])
def test_locks_that_name_another_program_by_now_do_not_matter(
    new_serve: NewServe, zombie: int, taken_by: str
) -> None:
    serve = new_serve()
    serve.start()
    folder = DataFolder(serve.folder / "data")
    (socket_lock,) = folder.socket_folder.glob(".s.PGSQL.*.lock")
    left_behind = {file: file.read_bytes() for file in (folder.postgres / "postmaster.pid", socket_lock)}
    serve.stop()

    # As after `kill -9` of everything, and a restart of the machine.
    number = str(os.getpid() if taken_by == "this program" else zombie).encode()
    for file, content in left_behind.items():
        file.write_bytes(content.replace(content.split()[0], number, 1))

    with serve.start().connect() as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_postgres_left_behind_by_a_killed_run_is_ended_by_the_next_start(new_serve: NewServe) -> None:
    serve = new_serve()
    serve.start()
    serve.stop()
    folder = DataFolder(serve.folder / "data")
    left_behind = Children()
    binaries = find_binaries("system" if os.environ.get("TEST_POSTGRES") == "system" else "embedded")
    Postgres(binaries, folder, find_free_port(), folder.load_credentials()).start(left_behind)

    serve.start()

    assert not left_behind.started[0].running


def test_a_part_that_dies_is_named_and_ends_the_stack(new_serve: NewServe) -> None:
    serve = new_serve()
    stack = serve.start()

    os.kill(postmaster_pid(serve), signal.SIGKILL)

    assert wait_for_end(serve) == 1
    assert "Postgres was ended by SIGKILL" in serve.output
    assert wait_until_gone(stack.url, stack.mqtt_url)


def test_a_taken_port_is_named_with_a_remedy(new_serve: NewServe) -> None:
    serve = new_serve()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", serve.port))
        taken.listen()

        serve.launch()

        assert wait_for_end(serve) == 1
    assert f"Port {serve.port} can't be used" in serve.output
    assert "--port" in serve.output


def test_two_stacks_run_side_by_side_but_not_on_one_folder(stack: Stack, new_serve: NewServe) -> None:
    other = new_serve()
    second = other.start()
    third = new_serve()
    third.arguments = ["--data", str(other.folder / "data")]

    third.launch()

    assert second.url != stack.url
    assert second.anon_key != stack.anon_key
    refused = httpx.get(
        f"{second.url}/rest/v1/organizations",
        headers={"Authorization": f"Bearer {stack.anon_key}"},
        timeout=60,
    )
    assert refused.status_code == 401
    assert wait_for_end(third) == 1
    assert "Another stack runs on" in third.output


def test_a_second_start_that_is_refused_leaves_the_running_stacks_ready_file(new_serve: NewServe) -> None:
    serve = new_serve()
    serve.start()
    again = new_serve()
    again.arguments = ["--data", str(serve.folder / "data"), "--ready-file", str(serve.ready_file)]

    again.launch()

    assert wait_for_end(again) == 1
    assert serve.ready_file.exists()


def test_a_ready_file_left_behind_does_not_outlive_a_start_that_fails(new_serve: NewServe) -> None:
    serve = new_serve()
    serve.ready_file.write_text("{}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", serve.port))
        taken.listen()

        serve.launch()

        assert wait_for_end(serve) == 1
    assert not serve.ready_file.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "{file}"], 1, "choose a --data folder that you may write to"),
        (["--data", "{file}/below"], 1, "choose a --data folder that you may write to"),
        (["--data", "{damaged}"], 1, "credentials.json is damaged"),
        (["--ready-file", "{file}/ready"], 1, "choose another --ready-file"),
        (["--ready-file", "{folder}"], 1, "choose another --ready-file"),
        (["--port", "70000"], 2, "70000 is not a port"),
        (["--port", "0"], 2, "0 is not a port"),
        (["--migrations", "{folder}/none"], 2, "is not a folder"),
        (["--functions", "{file}"], 2, "is not a folder"),
    ],
)
def test_an_option_that_can_not_serve_is_named_before_anything_starts(
    new_serve: NewServe, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "credentials.json").write_text("{")
    places = {"file": tmp_path / "file", "folder": tmp_path, "damaged": tmp_path / "damaged"}
    serve = new_serve(*[argument.format(**places) for argument in arguments])

    serve.launch()

    assert wait_for_end(serve) == code
    assert message in serve.output
    assert "Traceback" not in serve.output
    assert "Postgres" not in serve.output


def test_functions_are_served_with_dashes_and_what_follows_their_name(
    new_serve: NewServe, tmp_path: Path
) -> None:
    (tmp_path / "hello_world.py").write_text(GREETING)
    (tmp_path / "__init__.py").touch()

    stack = new_serve("--functions", str(tmp_path)).start()
    reply = httpx.get(f"{stack.url}/functions/v1/hello-world/some/place?id=7", timeout=60)

    assert reply.json() == {"path": "/some/place", "id": "7"}


def test_a_function_that_does_not_load_stops_the_start_with_its_traceback(
    new_serve: NewServe, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module_anywhere\n")
    serve = new_serve("--functions", str(tmp_path))

    serve.launch()

    assert wait_for_end(serve) == 1
    assert "No module named 'no_such_module_anywhere'" in serve.output
    assert "broken.py" in serve.output


def test_the_operators_own_settings_win_even_when_empty(new_serve: NewServe, stack: Stack) -> None:
    serve = new_serve(OUTBOUND_ALLOW="", MQTT_URL=stack.mqtt_url)

    own = serve.start()

    environment = DataFolder(serve.folder / "data").functions_env
    assert "OUTBOUND_ALLOW=''" in environment.read_text().splitlines()
    assert environment.stat().st_mode & 0o777 == 0o600
    assert own.mqtt_url == stack.mqtt_url


def test_secrets_on_disk_are_readable_by_their_owner_alone(stack: Stack) -> None:
    folder = DataFolder(stack.data)

    assert (folder.path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert (folder.path.parent / "ready.json").stat().st_mode & 0o777 == 0o600
    assert folder.postgres.stat().st_mode & 0o777 == 0o700
    assert list_users(folder.load_credentials()) == stack.users


def test_the_unix_socket_asks_for_the_password_too(stack: Stack) -> None:
    port, place = urlsplit(stack.db_url).port, DataFolder(stack.data).socket_folder

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(place), port=port, user="supabase_admin", dbname="postgres", password="no")


def test_the_help_names_every_option() -> None:
    asked = [sys.executable, "-m", "scripts.local", "--help"]

    text = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert all(option in text for option in ("--port", "--data", "--ready-file", "--postgres"))
