"""Bare paho with manual acknowledgement, as a process of its own: drains a stored queue and prints the seconds.

`python -m scripts.benchmarks._bare PORT CLIENT_ID COUNT`
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import paho.mqtt.client as paho

from scripts.benchmarks._mosquitto import connect_client, make_client
from scripts.local.stack import ROOT


def drain_bare(port: int, client_id: str, count: int) -> float:
    """Messages a second, from the first that comes to the last that is acknowledged."""
    argv = [sys.executable, "-m", "scripts.benchmarks._bare", str(port), client_id, str(count)]
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    return count / float(done.stdout)


def main() -> None:
    """Drain."""
    port, client_id, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    client = make_client(client_id)
    received, begun = 0, 0.0

    def take(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        nonlocal received, begun
        begun = begun or time.perf_counter()
        client.ack(message.mid, message.qos)
        received += 1
        if received == count:
            print(time.perf_counter() - begun)
            client.disconnect()

    client.on_message = take
    connect_client(client, port)
    client.loop_forever()


if __name__ == "__main__":
    main()
