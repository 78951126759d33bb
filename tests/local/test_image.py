"""What the image holds, tried without Docker: what COPY copies, installed as RUN installs it, each command started."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scripts.local.functions import url_name
from scripts.local.processes import die_with_parent
from scripts.local.stack import ROOT
from tests.ports import find_free_port
from tests.stack import Stack
from tests.waiting import wait_until

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
FUNCTIONS = sorted(file for file in (ROOT / "functions").glob("*.py") if file.stem != "__init__")


@dataclass(frozen=True)
class Image:
    """A folder as the container has it at /app, and the Python beside it."""

    app: Path
    python: Path

    def environment(self, stack: Stack, **own: str) -> dict[str, str]:
        """What ENV sets and an operator gives."""
        given = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))
        return {"PATH": f"{self.python.parent}:/usr/bin:/bin", "PYTHONPATH": str(self.app), **given, **own}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    app, packages = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("packages")
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", DOCKERFILE, re.MULTILINE):
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source, app / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
    shutil.copy(ROOT / "requirements.lock", packages)
    venv.create(packages / "venv", with_pip=True)
    (install,) = re.findall(r"/packages/bin/pip (install [^&\n]+)", DOCKERFILE)
    python = packages / "venv" / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", *shlex.split(install)], cwd=packages, check=True, capture_output=True
    )
    subprocess.run([python, "-m", "compileall", "-q", "functions", "shared"], cwd=app, check=True)
    return Image(app, python)


@contextmanager
def run(
    image: Image, argv: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of the image, in a folder that it can't write to."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [image.python.parent / argv[0], *argv[1:]],
            cwd=image.app,
            env=environment,
            stderr=stream,
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - it makes one system call
        )
    with process:
        yield process
        process.kill()


def read_command(instruction: str) -> list[str]:
    found = re.findall(rf"^{instruction}.*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    return [str(part) for part in shlex.split(found[-1].strip("[]").replace(",", " "))]


@pytest.mark.parametrize("file", FUNCTIONS, ids=url_name)
def test_each_function_starts_and_reaches_the_project(
    image: Image, stack: Stack, file: Path, tmp_path: Path
) -> None:
    port = find_free_port()
    names = {"FUNCTION_SOURCE": f"functions/{file.name}", "FUNCTION_TARGET": file.stem, "PORT": str(port)}
    environment = image.environment(stack, **names)

    with run(image, read_command("CMD"), environment, tmp_path / "log") as process:
        wait_until(lambda: _answers(port) or process.poll() is not None, "it does not start")
        health = subprocess.run(
            [image.python.parent / "python", *read_command("HEALTHCHECK")[1:]],
            cwd=image.app, env=environment, check=False,
        )  # fmt: skip
        ready = httpx.get(f"http://127.0.0.1:{port}/ready", timeout=20)

    assert (health.returncode, ready.status_code) == (0, 200), (tmp_path / "log").read_text()


def test_without_a_function_the_health_check_fails(image: Image, stack: Stack) -> None:
    environment = image.environment(stack, PORT=str(find_free_port()))

    done = subprocess.run(
        [image.python, *read_command("HEALTHCHECK")[1:]], cwd=image.app, env=environment, check=False
    )

    assert done.returncode == 1


def test_the_worker_runs_until_it_is_told_to_end(image: Image, stack: Stack, tmp_path: Path) -> None:
    argv, log = ["python", "-m", "shared.scheduler.worker"], tmp_path / "log"

    with run(image, argv, image.environment(stack), log) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(5)
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def test_only_what_runs_is_copied_and_nothing_else_reaches_the_builder(image: Image) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split("\n")

    assert {path.name for path in image.app.iterdir()} == {"functions", "shared"}
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        "requirements.lock",
        "functions",
        "shared",
    }


def test_it_runs_as_nobody_who_may_write_anything() -> None:
    users = re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)

    assert users == ["10001"]
    assert "--chown" not in DOCKERFILE


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=60).status_code == 200
    except httpx.TransportError:
        return False
