"""Real MQTT brokers for tests, each a process of its own on a free port: mosquitto, and amqtt (MQTT 3.1.1 only)."""

from __future__ import annotations

import asyncio
import getpass
import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.benchmarks._publisher import publish_messages
from tests.ports import find_free_port
from tests.waiting import wait_until

PATIENCE_SECONDS = 60.0


class Broker:
    """A broker process that can be stopped, killed and started again on its port and folder."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until the port answers."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=Path.cwd()
        )
        ends = time.monotonic() + PATIENCE_SECONDS
        while not _is_open(self.port):
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError(f"the broker did not start: {' '.join(self._command)}")
            time.sleep(0.02)

    def stop(self) -> None:
        """SIGTERM, as an administrator restarts a broker."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def make_mosquitto(folder: Path, settings: Iterable[str] = (), listener: Iterable[str] = ()) -> Broker:
    """A mosquitto that keeps its data in `folder`. `listener` replaces that everybody may log in."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise RuntimeError(
            "The mosquitto broker is missing; run the tests with scripts/test, which installs it."
        )
    port = find_free_port()
    lines = [f"user {getpass.getuser()}", f"log_dest file {folder}/mosquitto.log"]
    lines += ["persistence true", f"persistence_location {folder}/", *settings]
    lines += [f"listener {port} 127.0.0.1", *(tuple(listener) or ("allow_anonymous true",))]
    path = folder / "mosquitto.conf"
    path.write_text("\n".join(lines) + "\n")
    return Broker([program, "-c", str(path)], port)


def count_connections(folder: Path) -> int:
    """How many connections the mosquitto of `folder` has been made, counted once that of `Broker.start` is."""
    log = folder / "mosquitto.log"
    wait_until(lambda: log.read_text().partition(" running\n")[2], "mosquitto has written no log")
    return log.read_text().count("New connection from")


def make_amqtt() -> Broker:
    """amqtt as it comes. What anonymous clients miss while away, it does not keep."""
    port = find_free_port()
    return Broker([sys.executable, "-m", "tests.fakes.brokers", str(port)], port)


def write_passwords(folder: Path, users: dict[str, str]) -> Path:
    """A mosquitto password file."""
    path = folder / "passwords"
    path.touch(mode=0o600)
    for user, password in users.items():
        subprocess.run(["mosquitto_passwd", "-b", str(path), user, password], check=True, capture_output=True)
    return path


def publish_all(port: int, messages: Iterable[tuple[str, bytes | str]], *, retain: bool = False) -> int:
    """Publish with QoS 1 and wait until the broker has taken everything; how many that were."""
    encoded = ((topic, body.encode() if isinstance(body, str) else body) for topic, body in messages)
    return publish_messages(port, encoded, retain=retain)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _serve_amqtt(port: int) -> None:
    from amqtt.broker import Broker as Amqtt

    plugin = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Amqtt(
        {"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": plugin}
    ).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(_serve_amqtt(int(sys.argv[1])))
