"""scripts/demo as a newcomer meets it: in a terminal of 80 columns, copying what it prints, pressing Ctrl-C."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped] # it has no types
import psycopg
import pytest

from scripts.local.stack import ROOT
from tests.local.terminal import COLUMNS, Terminal
from tests.ports import find_free_port
from tests.waiting import wait_until

SUMMARY = r"demo: (\d+) published, \1 stored, 0 lost, 0 duplicated, (\d+) delivered"
INVITATION_END = "What you publish from now on shows here:"
KEYS = ("database:", "anon key:", "service role key:")


def run_demo(*arguments: str) -> Terminal:
    return Terminal([ROOT / "scripts" / "demo", "--port", str(find_free_port()), *arguments])


def copy_commands(text: str) -> list[str]:
    """The indented commands of what was printed, each with its continued lines, ready to be pasted."""
    lines = text[text.index("n another terminal") :].splitlines()
    block = "\n".join(line[2:] for line in lines if line.startswith("  "))
    return [command for command in re.split(r"(?<!\\)\n", block) if command]


def run_copied(commands: list[str]) -> subprocess.CompletedProcess[str]:
    """In one shell, in the project's folder, stopping at the first that fails."""
    script = "set -e\n" + "\n".join(commands)
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def list_left_behind(port: str) -> list[str]:
    """Processes and folders of a demo on that port."""
    own = [str(process.pid) for process in psutil.process_iter() if port in _command_of(process)]
    return own + [str(folder) for folder in Path(tempfile.gettempdir()).glob(f"demo-{port}-*")]


def _command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def shown() -> Iterator[Terminal]:
    """A demo that has shown everything and waits."""
    with run_demo() as terminal:
        terminal.wait_for(INVITATION_END)
        yield terminal


def test_everything_published_is_stored_once_delivered_and_accounted_for(shown: Terminal) -> None:
    found = re.search(SUMMARY, shown.text)

    assert found, shown.text
    assert int(found[2]) == int(found[1]) - 1, "all but the malformed one"
    assert "Kept although malformed" in shown.text
    assert "sees 0 of all this" in shown.text


def test_the_table_shows_each_devices_latest_reading_within_80_columns(shown: Terminal) -> None:
    rows = [line for line in shown.text.splitlines() if "│" in line and "temperature" in line]

    assert rows
    assert all(re.search(r"│ battery \d+, temperature -?[\d.]+ *│", row) for row in rows), shown.text


def test_the_migrations_take_one_line_and_the_keys_come_last(shown: Terminal) -> None:
    text = shown.text
    after_commands = text.rindex("curl")

    assert len([line for line in text.splitlines() if "migration" in line]) == 1
    assert all(text.index(key) > after_commands for key in KEYS)


def test_no_line_but_the_keys_is_wider_than_the_terminal(shown: Terminal) -> None:
    wide = [line for line in shown.text.splitlines() if len(line) > COLUMNS and not line.startswith(KEYS)]

    assert wide == []


def test_each_printed_command_works_when_copied_and_what_it_publishes_shows_at_once(
    shown: Terminal,
) -> None:
    commands = copy_commands(shown.text)

    done = run_copied(commands)

    assert len(commands) == 4, commands
    assert done.returncode == 0, done.stderr
    shown.wait_for("delivered devices/pump-12/telemetry  temperature 42")
    integrations, devices = re.split(r"(?<=\})\n?(?=\[)", done.stdout, maxsplit=1)
    assert {entry["name"] for entry in json.loads(integrations)["integrations"]} == {
        "Demo broker",
        "Demo webhook",
    }
    assert "pump-12" in {device["external_id"] for device in json.loads(devices)}
    assert "stored    devices/pump-12/telemetry  temperature 42" in shown.text


def test_its_console_can_be_opened_and_signed_in_to(shown: Terminal) -> None:
    (url,) = re.findall(r"^Look at it: +(\S+)", shown.text, re.MULTILINE)
    ((email, password),) = re.findall(r"^Sign in: +(\S+) with (\S+)", shown.text, re.MULTILINE)

    page = httpx.get(url, timeout=60)
    project, key = re.findall(r'data-(?:supabase-url|anon-key)="([^"]+)"', page.text)
    session = httpx.post(
        f"{project}/auth/v1/token?grant_type=password",
        json={"email": email, "password": password},
        headers={"apikey": key},
        timeout=60,
    )

    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert session.json()["user"]["email"] == email


def test_the_fleet_goes_on_while_it_stays_up_without_a_line_for_each_reading(shown: Terminal) -> None:
    (database,) = re.findall(r"^database: +(\S+)", shown.text, re.MULTILINE)

    def count() -> int:
        with psycopg.connect(database) as connection:
            ((number,),) = connection.execute("select count(*) from public.device_messages").fetchall()
        return int(number)

    before = count()
    wait_until(lambda: count() > before + 5, "the fleet is silent")

    assert "seq" not in shown.text[shown.text.index(INVITATION_END) :]
    assert not re.search(r"^[\d:]{8} \S+ +devices/boiler-1", shown.text, re.MULTILINE)


def test_control_c_ends_a_demo_that_waits_with_success(shown: Terminal) -> None:
    shown.press_control_c()

    assert shown.wait() == 0
    assert "Traceback" not in shown.text
    assert "Stopped; nothing is left behind." in shown.text


@pytest.mark.parametrize("moment", ["Starting Postgres", "Starting the functions", "Signing in", "published"])
def test_control_c_at_any_moment_ends_clean_and_leaves_nothing(moment: str) -> None:
    port = str(find_free_port())
    with Terminal([ROOT / "scripts" / "demo", "--port", port]) as terminal:
        terminal.wait_for(moment)

        terminal.press_control_c()
        time.sleep(0.1)
        terminal.press_control_c()

        assert terminal.wait() == 130, terminal.text
    assert "Traceback" not in terminal.text
    assert list_left_behind(port) == []


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5])
def test_control_c_while_it_is_loading_ends_it_without_a_word(delay: float) -> None:
    port = str(find_free_port())
    with Terminal([ROOT / "scripts" / "demo", "--port", port]) as terminal:
        time.sleep(delay)
        terminal.press_control_c()

        assert terminal.wait() in {130, -2}
    assert "Traceback" not in terminal.text
    assert list_left_behind(port) == []


def test_written_to_a_file_it_is_plain_text_a_person_can_read(tmp_path: Path) -> None:
    file = tmp_path / "demo.txt"
    with file.open("wb") as output:
        demo = [
            str(ROOT / "scripts" / "demo"),
            "--once",
            "--with",
            "golioth",
            "--port",
            str(find_free_port()),
        ]
        code = subprocess.run(demo, stdout=output, stderr=output, timeout=180, check=False).returncode

    text = file.read_text()
    assert code == 0, text
    assert "\x1b" not in text
    assert text.count("latest reading") == 1
    assert re.search(r"^" + SUMMARY + "$", text, re.MULTILINE), text
    assert re.search(r"│ tracker-1 .*│ temperature [\d.-]+ *│\n", text), text
    assert "Traceback" not in text


def test_with_a_codec_meters_post_bytes_of_their_own_protocol() -> None:
    demo = [str(ROOT / "scripts" / "demo"), "--once", "--with", "codec", "--port", str(find_free_port())]
    done = subprocess.run(demo, capture_output=True, text=True, timeout=180, check=False)

    assert done.returncode == 0, done.stdout
    assert re.search(r"^" + SUMMARY + "$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"│ meter-1 .*│ battery 90, temperature [\d.-]+ *│\n", done.stdout), done.stdout


def test_with_lorawan_two_network_servers_push_bytes_that_a_decoder_reads() -> None:
    demo = [str(ROOT / "scripts" / "demo"), "--once", "--with", "lorawan", "--port", str(find_free_port())]
    done = subprocess.run(demo, capture_output=True, text=True, timeout=180, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^" + SUMMARY + "$", done.stdout, re.MULTILINE), done.stdout
    for device in ("room-1", "0004a30b001c0530"):
        assert re.search(rf"│ {device} .*humidity", done.stdout), done.stdout


def test_with_kafka_machines_are_read_from_a_topic() -> None:
    demo = [str(ROOT / "scripts" / "demo"), "--once", "--with", "kafka", "--port", str(find_free_port())]
    done = subprocess.run(demo, capture_output=True, text=True, timeout=180, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^" + SUMMARY + "$", done.stdout, re.MULTILINE), done.stdout
    for device in ("press-1", "press-2", "oven-3"):
        assert re.search(rf"│ {device} .*temperature", done.stdout), done.stdout


@pytest.mark.parametrize("script", ["demo", "serve"])
def test_a_taken_port_is_said_before_anything_is_set_up(script: str, tmp_path: Path) -> None:
    # The scripts alone, in a folder where setting up would have to begin by making the environment.
    (tmp_path / "scripts" / "local").mkdir(parents=True)
    for name in (script, "environment.sh", "local/port.sh"):
        target = tmp_path / "scripts" / name
        target.write_bytes((ROOT / "scripts" / name).read_bytes())
        target.chmod(0o755)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        argv = [str(tmp_path / "scripts" / script), "--port", str(port)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert f"Port {port} can't be used" in done.stderr
    assert f"--port {port + 10}" in done.stderr
    assert not (tmp_path / ".venv").exists()
