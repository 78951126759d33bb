"""`scripts/publish TOPIC PAYLOAD`: publishes one message (QoS 1) to $BROKER_URL, else to the local stack's broker."""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from scripts.local.data_folder import DataFolder
from scripts.local.environment import DEFAULT_DATA

ACKNOWLEDGE_SECONDS = 10.0


def main() -> int:
    """0 once the broker has acknowledged the message."""
    parser = argparse.ArgumentParser(prog="scripts/publish", description=__doc__)
    parser.add_argument("topic", help="such as devices/pump-1/telemetry")
    parser.add_argument("payload", help="""such as '{"temperature": 21.5}'""")
    options = parser.parse_args()
    port = DataFolder(DEFAULT_DATA).load_ports().mqtt
    url = os.environ.get("BROKER_URL") or (f"mqtt://127.0.0.1:{port}" if port else "")
    if not url:
        print(
            'No broker is known: start scripts/serve, or eval "$(scripts/env --data DIR)".', file=sys.stderr
        )
        return 1
    try:
        _publish(url, options.topic, options.payload)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"Not published to {url}: {error}. Does scripts/serve run?", file=sys.stderr)
        return 1
    print(f"Published to {options.topic}; the broker has acknowledged it.", file=sys.stderr)
    return 0


def _publish(url: str, topic: str, payload: str) -> None:
    address = urlsplit(url)
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(address.hostname or "127.0.0.1", address.port or 1883)
    client.loop_start()
    try:
        sent = client.publish(topic, payload, qos=1)
        sent.wait_for_publish(ACKNOWLEDGE_SECONDS)
        if not sent.is_published():
            raise RuntimeError(f"no acknowledgement within {ACKNOWLEDGE_SECONDS:.0f} seconds")
    finally:
        client.disconnect()
        client.loop_stop()


if __name__ == "__main__":
    sys.exit(main())
