"""The MQTT broker: amqtt on loopback, as a program of its own. It speaks MQTT 3.1.1 only.

Anybody on this machine may connect; sessions and their queued messages live in memory, and end with it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

import amqtt.broker

from scripts.local.broker_sessions import KeepingBroker, KeepingHandler

PLUGINS: dict[str, dict[str, object]] = {"scripts.local.broker_sessions.OpenDoor": {}}


async def serve_broker(port: int) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    # amqtt has no setting for its connection class, so ours takes the place of that name.
    amqtt.broker.BrokerProtocolHandler = KeepingHandler
    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    broker = KeepingBroker({"listeners": {"default": listener}, "plugins": PLUGINS})
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """`python -m scripts.local.broker --port PORT`."""
    parser = argparse.ArgumentParser(prog="python -m scripts.local.broker")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    # amqtt reports every client that goes away as a warning or an error.
    logging.basicConfig(level=logging.ERROR)
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    asyncio.run(serve_broker(options.port))


if __name__ == "__main__":
    main()
