"""What a payload codec costs: a JavaScript decoder as vendors write them, in its child process, with all limits.

`us_per_message` is a call with one body, `batch_us_per_message` a call with 500, divided by them; both from bytes to
decoded messages, medians of the wall clock. `start_s` is the time from nothing to the first body decoded by JavaScript;
`formats_start_s` the same for the other kinds. `bare_us` is the same source called directly in this process, without
limits, envelope or messages. `rate` is how many messages a second become committed rows in an MQTT session whose bodies
a JavaScript codec decodes, `plain_rate` by the rules for JSON; they take turns, and `ratio` is that of the medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from scripts.benchmarks._bench import Bench, Numbers
from scripts.benchmarks._mosquitto import start_mosquitto
from scripts.benchmarks._service import make_codec
from scripts.benchmarks._workers import start_worker
from scripts.benchmarks.mqtt import open_site
from shared.codecs.children import Children
from shared.codecs.codec import Codec
from shared.codecs.contract import Uplink
from shared.codecs.run import Item, Program, Run

REACH = {
    "batch_us_per_message": "≤ 30 µs",
    "start_s": "≤ 0.2 s",
    "ratio": "≥ 0.6",
    "lost": "0",
    "duplicated": "0",
}
DEVICES = 100
BATCH = 500
BODY = bytes.fromhex("017564036710ff046871050001") + bytes.fromhex("20ce0a0b0c0d0a01")
SOURCE = """
function decodeUplink(input) {
  var decoded = {};
  for (var i = 0; i < input.bytes.length; ) {
    var channel = input.bytes[i++];
    var type = input.bytes[i++];
    if (channel === 0x01 && type === 0x75) {
      decoded.battery = input.bytes[i];
      i += 1;
    } else if (channel === 0x03 && type === 0x67) {
      decoded.temperature = readInt16LE(input.bytes.slice(i, i + 2)) / 10;
      i += 2;
    } else if (channel === 0x04 && type === 0x68) {
      decoded.humidity = input.bytes[i] / 2;
      i += 1;
    } else if (channel === 0x05 && type === 0x00) {
      decoded.magnet = input.bytes[i] === 0 ? "close" : "open";
      i += 1;
    } else if (channel === 0x20 && type === 0xce) {
      var point = { timestamp: readUInt32LE(input.bytes.slice(i, i + 4)), temperature: input.bytes[i + 4] / 10 };
      decoded.history = (decoded.history || []).concat([point]);
      i += 6;
    } else {
      break;
    }
  }
  return { data: decoded };
}
function readInt16LE(bytes) {
  var value = (bytes[1] << 8) + bytes[0];
  return value > 0x7fff ? value - 0x10000 : value;
}
function readUInt32LE(bytes) {
  return ((bytes[3] << 24) + (bytes[2] << 16) + (bytes[1] << 8) + bytes[0]) >>> 0;
}
"""


PARSE = "function decodeUplink(input) { return { data: JSON.parse(input.text) }; }"


def measure(bench: Bench) -> Numbers:
    """Starts children, then decodes one body at a time, then batches, then the same without a child."""
    starts = [
        _start("javascript", SOURCE) for _ in bench.track("Children for JavaScript", bench.rounds(10, 5))
    ]
    formats = [_start("cbor", "") for _ in bench.track("Children for formats", bench.rounds(10, 5))]
    codec = Codec("organization", "javascript", SOURCE)
    one, batch = [Uplink(BODY, 85)], [Uplink(BODY, 85)] * BATCH
    singles = _time(bench, "One body a call", bench.rounds(5_000, 1_000), lambda: codec.decode(one))
    batches = _time(bench, "500 bodies a call", bench.rounds(400, 100), lambda: codec.decode(batch))
    bare = _time(bench, "Without a child", bench.rounds(400, 100), _make_bare())
    return {
        "us_per_message": singles * 1e6,
        "batch_us_per_message": batches * 1e6 / BATCH,
        "bare_us": bare * 1e6 / BATCH,
        "start_s": statistics.median(starts),
        "formats_start_s": statistics.median(formats),
        **_compare_sessions(bench),
    }


def _compare_sessions(bench: Bench) -> Numbers:
    size, rates = bench.rounds(60_000, 20_000), dict[str, list[float]](plain=[], coded=[])
    with open_site(bench) as site, start_mosquitto() as port, start_worker(site.report):
        codec = make_codec(site.connection, PARSE)
        for _ in bench.track("Sessions without a codec and with one", bench.rounds(7, 3)):
            for name, config in (("plain", {}), ("coded", {"codec": codec})):
                site.config = dict(config)
                rates[name].append(site.drain([port], size, DEVICES).rate)
        rate, plain_rate = statistics.median(rates["coded"]), statistics.median(rates["plain"])
        return {"rate": rate, "plain_rate": plain_rate, "ratio": rate / plain_rate, **site.sum_up()}


def _start(kind: str, source: str) -> float:
    children = Children(most=1)
    begun = time.perf_counter()
    Run(Program("organization", kind, source), "decode", {}).work([Item(["00", 1, None, None], 2)], children)
    seconds = time.perf_counter() - begun
    children.close()
    return seconds


def _time(bench: Bench, label: str, rounds: int, work: Callable[[], object]) -> float:
    """The median seconds of one call."""
    work()
    seconds = []
    for _ in bench.track(label, rounds):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def _make_bare() -> Callable[[], object]:
    import quickjs

    context = quickjs.Context()
    context.eval(SOURCE)
    call = context.eval(
        "(bytes, fPort) => JSON.stringify(decodeUplink({ bytes: JSON.parse(bytes), fPort }))",
    )

    def work() -> None:
        for _ in range(BATCH):
            call(str(list(BODY)), 85)

    return work
