"""The MQTT broker: amqtt on loopback, as a program of its own. It speaks MQTT 3.1.1 only.

Anybody on this machine may connect; sessions and their queued messages are kept in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

from amqtt.broker import Broker

PLUGINS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


async def serve_broker(port: int) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    broker = Broker(
        {"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}, "plugins": PLUGINS}
    )
    await broker.start()
    await stop.wait()
    await broker.shutdown()


def main() -> None:
    """`python -m scripts.local.broker --port PORT`."""
    parser = argparse.ArgumentParser(prog="python -m scripts.local.broker")
    parser.add_argument("--port", type=int, required=True)
    # amqtt reports every client that goes away as a warning or an error.
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    asyncio.run(serve_broker(parser.parse_args().port))


if __name__ == "__main__":
    main()
