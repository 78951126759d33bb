"""Hostile decoders: each ends within its deadline, harms the body that it was given alone, and leaves nothing."""

from __future__ import annotations

import time

import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import SourceRefused, Uplink
from shared.codecs.limits import STOPS
from shared.codecs.run import Item, Program, Run
from tests.unit.codecs.decoding import ORGANIZATION, decode, find_error, read_data, uplink

DEADLINE = 20.0
"""Seconds for an attack and what it costs to go on after it, on a machine that has other things to do."""

ATTACK, HARMLESS = b"\x01", b"\x02"

ENDLESS = [
    "while (true) {}",
    "try { while (true) {} } catch (e) { while (true) {} }",
    "try { while (true) {} } finally { while (true) {} }",
    "for (;;) { try { while (true) {} } catch (e) {} }",
    "return { data: { get x() { while (true) {} } } }",
    "return { data: { toJSON() { while (true) {} } } }",
    "return { get data() { while (true) {} } }",
    "return { data: new Proxy({}, { ownKeys() { while (true) {} } }) }",
    "return { data: 1, warnings: { get length() { while (true) {} } }, errors: [{ toJSON() { while (true) {} } }] }",
    "throw { toString() { while (true) {} } }",
    "const e = new Error('x'); Object.defineProperty(e, 'message', { get() { while (true) {} } }); throw e",
    "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { while (true) {} } }); throw e",
    "const e = new Error('x'); e.name = { toString() { while (true) {} } }; throw e",
    "Error.prepareStackTrace = () => { while (true) {} }; null.x",
    "[3, 1, 2].sort(() => { while (true) {} })",
    "return { data: [...{ *[Symbol.iterator]() { while (true) yield 1; } }] }",
    "eval('while (true) {}')",
    "new Function('while (true) {}')()",
    "Array(2 ** 31 - 1).join()",
    "new Array(2 ** 31 - 1).reverse()",
    "const a = []; a[2 ** 31] = 1; a.sort()",
    "[].concat(Array(2 ** 31))",
    "input.bytes.length = 2 ** 32 - 1; input.bytes.toString()",
    "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)",
    "/(a+)+$/.exec('a'.repeat(40) + 'b')",
    "/^(?:a|a)*$/.exec('a'.repeat(60) + 'b')",
    "'\\u0344'.repeat(2e6).normalize('NFD').normalize('NFC').repeat(4)",
    "'a'.repeat(1e5).replace(/a/g, 'b'.repeat(1e5))",
    "for (const _ of (function* () { while (true) yield; })());",
    "new Promise(() => { while (true) {} }); while (true) {}",
    "(async () => { try { while (true) {} } catch (e) { while (true) {} } })(); while (true) {}",
    "new Proxy(function () {}, { apply() { while (true) {} } })()",
    "new Proxy({}, { get() { while (true) {} } }).x",
    "return new Proxy({}, { has() { while (true) {} } })",
    "return { data: { valueOf() { while (true) {} } } * 1 }",
    "out: while (true) { try { continue out; } finally { continue out; } }",
    "class A { static { while (true) {} } }",
    "`${{ toString() { while (true) {} } }}`",
    "JSON.parse('[1]', () => { while (true) {} })",
    "new Date({ [Symbol.toPrimitive]() { while (true) {} } })",
    "Object.defineProperty(input, 'bytes', { get() { while (true) {} } }); return { data: input.text }",
]
GREEDY = [
    "Array.from({ length: 2 ** 31 })",
    "Array(1e9).fill(0)",
    "const a = []; a.length = 2 ** 32 - 1; a.fill(0)",
    "let s = 'a'; while (true) s += s",
    "'a'.padEnd(2 ** 30)",
    "const a = []; while (true) a.push(new Uint8Array(1e6))",
    "const a = []; while (true) a.push(a.slice())",
    "const m = new Map(); for (let i = 0; ; i++) m.set(i, {})",
    "const a = []; while (true) a.push(new SharedArrayBuffer(1e7))",
    "new ArrayBuffer(8, { maxByteLength: 2 ** 30 }).resize(2 ** 30)",
    "(function f(n) { return n ? [f(n - 1), f(n - 1)] : 0; })(30)",
    "JSON.parse('['.repeat(1e6))",
    "2n ** (2n ** 40n)",
    "(function f() { f(); })()",
    "return { data: { toString() { return this + ''; } } + '' }",
    "let o = {}, p = o; for (let i = 0; i < 1e5; i++) { p.a = {}; p = p.a; } return { data: o }",
    "let o = []; for (let i = 0; i < 150; i++) o = [o]; return { data: o }",
    "return { data: 'x'.repeat(1e7) }",
    "return { data: Array(1e6).fill(1) }",
    "const a = {}; a.a = a; return { data: a }",
    "Atomics.wait(new Int32Array(new SharedArrayBuffer(8)), 0, 0)",
    "const s = new Set([0]); for (const x of s) s.add(x + 1)",
    "return { data: Array(1e8) }",
    "return { messages: Array(1000).fill({ payload: 'x'.repeat(1e4) }) }",
    """const d = { enumerable: true, configurable: true, value: 1 }, p = new Proxy({}, { ownKeys: () => ['a'],
    get: (_, n) => (n === 'toJSON' ? null : p), getOwnPropertyDescriptor: () => d }); return { data: p }""",
    "BigInt('9'.repeat(1e6)).toString() + (3n ** 1000000n).toString(); null.x",
    "new RegExp('('.repeat(1e5))",
    "'x'.repeat(2 ** 29).localeCompare('y')",
    "eval('var a' + Array.from({ length: 1e6 }, (_, n) => n).join(',a'))",
    "new Function('return ' + '['.repeat(1e5))()",
    "Function.prototype.toString.call(Function('/*' + ' '.repeat(3e7) + '*/'))",
    "Symbol.for('x'.repeat(2 ** 28)).description + String.raw({ raw: { length: 2 ** 53 - 1 } })",
    "Reflect.apply(Math.max, null, { length: 2 ** 32 - 1 })",
    "Object.fromEntries({ *[Symbol.iterator]() { for (let i = 0; ; i++) yield [i, 1]; } })",
    "throw Array(1e7).fill('x')",
]
POISONS = [
    "Object.prototype.toJSON = () => 'poison'",
    "Object.defineProperty(Object.prototype, 'toJSON', { value: () => 'poison' })",
    "Object.prototype.errors = ['poison']",
    "Object.defineProperty(Object.prototype, 'data', { get: () => 'poison' })",
    "Object.prototype.__defineGetter__('warnings', () => ['poison'])",
    "Array.prototype.toJSON = () => 'poison'",
    "Array.prototype.map = () => 'poison'",
    "Array.prototype[Symbol.iterator] = null",
    "Object.defineProperty(Array.prototype, 0, { get: () => 9, set() {} })",
    "Object.setPrototypeOf(Array.prototype, { toJSON: () => 'poison' })",
    "JSON.stringify = () => 'poison'; JSON.parse = () => 'poison'",
    "JSON = null; delete globalThis.JSON; globalThis.Math = {}",
    "Math.round = () => 9; parseInt = () => 9; Object.keys = () => []; Reflect.ownKeys = () => []",
    "Function.prototype.call = null; Function.prototype.apply = null",
    "String.prototype.padStart = () => 'poison'; RegExp.prototype.exec = () => null",
    "String = null; Array = null; Object = null; Date = null; Promise = null; eval = null",
    "Date.prototype.toISOString = () => 'poison'; Number.prototype.toFixed = () => 'poison'",
    "Buffer.from = () => 'poison'; Buffer.prototype.toString = () => 'poison'",
    "Object.getPrototypeOf(Uint8Array).prototype.slice = () => 'poison'",
    "TextDecoder.prototype.decode = () => 'poison'; console.log = () => { while (true) {} }",
    "Object.defineProperty(Object.getPrototypeOf(input), 'text', { get: () => 'poison' })",
    "decodeUplink = null; globalThis.decodeUplink = () => ({ data: 'poison' })",
    "module = null; exports = null; console = null; undefined = 1; NaN = 1",
    "Error.prepareStackTrace = () => 'poison'; Error.prototype.toString = () => 'poison'",
    "Object.freeze(globalThis); Object.preventExtensions(Object.prototype)",
]
EVERYTHING = """
return { data: {
  bytes: input.bytes.map(x => x * 2), written: JSON.stringify([1, { a: 2 }]), parsed: JSON.parse('[1]'),
  text: input.text,
  round: Math.round(1.5), padded: '7'.padStart(3, '0'), at: new Date(0).toISOString(), fixed: (1.26).toFixed(1),
  hex: Buffer.from([1, 255]).toString('hex'), keys: Object.keys({ a: 1 }), integer: parseInt('12'),
  found: /a(b)/.exec('ab')[1], spread: [...new Uint8Array([1, 2]).slice(1)], error: String(new TypeError('q')),
  read: new TextDecoder().decode(new Uint8Array([65])),
  called: Function.prototype.call.call(function () { return this.x; }, { x: 5 }) } }
"""


def attack(what: str) -> str:
    return uplink(f"if (input.bytes[0] === 1) {{ {what} }}\nreturn {{ data: {{ value: input.bytes[0] }} }};")


@pytest.mark.parametrize("what", ENDLESS + GREEDY)
def test_an_attack_ends_and_harms_its_own_body_alone(what: str) -> None:
    codec = Codec(ORGANIZATION, "javascript", attack(what))
    begun = time.monotonic()

    before, attacked, after = codec.decode([Uplink(HARMLESS), Uplink(ATTACK), Uplink(HARMLESS)])

    assert time.monotonic() - begun < DEADLINE
    assert attacked.errors
    assert attacked.messages == ()
    assert before.data == after.data == {"value": 2}
    assert codec.decode([Uplink(HARMLESS)])[0].data == {"value": 2}


@pytest.mark.parametrize("poison", POISONS)
def test_nothing_that_one_body_changes_reaches_the_next(poison: str) -> None:
    source = uplink(f"if (input.bytes[0] === 1) {{ {poison} }}\n{EVERYTHING}")
    clean = read_data("javascript", source, HARMLESS)

    _, after, later = decode("javascript", source, ATTACK, HARMLESS, HARMLESS)

    assert clean["error"] == "TypeError: q"
    assert after.errors == ()
    assert after.data == later.data == clean


def test_a_codec_that_hangs_for_many_bodies_is_stopped_for_a_few_and_the_rest_is_not_tried() -> None:
    source = attack("Array(2 ** 31 - 1).join()")
    begun = time.monotonic()

    decoded = decode("javascript", source, HARMLESS, *[ATTACK] * 100, HARMLESS)

    assert time.monotonic() - begun < DEADLINE
    assert decoded[0].data == {"value": 2}
    assert ["Not tried" in one.errors[0] for one in decoded[1:]] == [False] * STOPS + [True] * (101 - STOPS)


def test_a_codec_that_is_slow_with_every_body_leaves_the_rest_untried() -> None:
    source = uplink("const ends = Date.now() + 20; while (Date.now() < ends) {} return { data: 1 }")
    run = Run(Program(ORGANIZATION, "javascript", source), "decode", {}, seconds=0.5)
    begun = time.monotonic()

    results = run.work([Item(["", None, None, None], 0)] * 500)

    assert time.monotonic() - begun < DEADLINE
    assert results[0]["data"] == 1
    assert "used up the batch's time" in results[-1]["errors"][0]
    assert len(results) == 500


@pytest.mark.parametrize(
    "source",
    [
        "while (true) {}",
        "throw { toString() { while (true) {} } }",
        "Array(2 ** 31 - 1).join()",
        "const a = []; while (true) a.push(new Uint8Array(1e6))",
        "(" * 100_000,
        "[" * 200_000,
        "`${" * 50_000,
        "/" + "(" * 50_000 + "/",
        "throw new Error('\\ud800')",
        "'\\ud800'",
        "(() => { throw null })()",
    ],
)
def test_a_source_that_attacks_while_it_loads_is_refused(source: str) -> None:
    begun = time.monotonic()

    with pytest.raises(SourceRefused):
        Codec(ORGANIZATION, "javascript", source).check()

    assert time.monotonic() - begun < DEADLINE
    assert read_data("javascript", attack(""), HARMLESS) == {"value": 2}


def test_a_source_that_hangs_while_it_loads_lets_every_body_say_so() -> None:
    decoded = decode("javascript", f"{attack('')}\nwhile (true) {{}}", HARMLESS, HARMLESS)

    assert all("it was stopped" in one.errors[0] for one in decoded)


@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "\\ud83d"])
def test_what_can_not_be_stored_is_replaced_with_a_warning(half: str) -> None:
    source = uplink(f"return {{ data: {{ 'a\\u0000': '\\u0000{half}', ok: '😀', written: '\\\\u0000' }} }}")

    decoded = decode("javascript", source, HARMLESS)[0]

    assert decoded.data == {"a\ufffd": "\ufffd\ufffd", "ok": "😀", "written": "\\u0000"}
    assert "U+FFFD" in decoded.warnings[0]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("return { data: 'x'.repeat(1e6) }", "characters"),
        ("let o = []; for (let i = 0; i < 150; i++) o = [o]; return { data: o }", "nested deeper"),
        ("return { data: 1n << 64n, more: undefined }", ""),
        ("return (async () => ({ data: 1 }))()", "asynchronous"),
        ("return { messages: 5 }", "messages has to be a list"),
    ],
)
def test_a_result_that_is_none_says_what_is_wrong_with_it(what: str, told: str) -> None:
    if told:
        assert told in find_error("javascript", uplink(what), HARMLESS)
    else:
        assert read_data("javascript", uplink(what), HARMLESS) == str(2**64)


@pytest.mark.parametrize(
    "name", ["std", "os", "process", "fetch", "setTimeout", "WebAssembly", "XMLHttpRequest", "Deno"]
)
def test_nothing_of_the_host_is_there(name: str) -> None:
    assert read_data("javascript", uplink(f"return {{ data: typeof {name} }}"), HARMLESS) == "undefined"


@pytest.mark.parametrize("name", ["fs", "child_process", "net", "node:fs"])
def test_no_module_of_node_can_be_required(name: str) -> None:
    assert "Cannot find module" in find_error("javascript", uplink(f"require('{name}')"), HARMLESS)
