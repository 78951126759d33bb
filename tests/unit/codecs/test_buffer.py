"""Buffer, as far as decoders use it: what Node says of the same expressions, word for word."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.unit.codecs.decoding import read_data, uplink

EXPRESSIONS = {
    "Buffer.from('48656c6C6f', 'hex').toString()": "Hello",
    "Buffer.from('abc', 'hex').length": 1,
    "Buffer.from('zz', 'hex').length": 0,
    "Buffer.from('grün 😀').toString('hex')": "6772c3bc6e20f09f9880",
    "Buffer.from('AQL/', 'base64').toJSON()": {"type": "Buffer", "data": [1, 2, 255]},
    "Buffer.from('AQL_', 'base64url').toString('hex')": "0102ff",
    "Buffer.from('A Q\\nL/', 'base64').toString('hex')": "0102ff",
    "Buffer.from('AQI=', 'base64').toString('hex')": "0102",
    "Buffer.from([1, 255, 254]).toString('base64')": "Af/+",
    "Buffer.from([1, 255, 254]).toString('base64url')": "Af_-",
    "Buffer.from([233, 65]).toString('latin1')": "éA",
    "Buffer.from([233, 65]).toString('ascii')": "iA",
    "Buffer.from('hé', 'utf16le').toString('hex')": "6800e900",
    "Buffer.from([104, 0, 233, 0]).toString('ucs2')": "hé",
    "Buffer.from([0xff, 0xc3, 0x28, 0xe2, 0x82]).toString()": "\ufffd\ufffd(\ufffd",
    "Buffer.from([0xed, 0xa0, 0x80, 0xf4, 0x90, 0x80, 0x80]).toString().length": 7,
    "Buffer.from([256, -1, 1.9, '7', null]).toJSON().data": [0, 255, 1, 7, 0],
    "Buffer.from(Buffer.from([1, 2]).buffer, Buffer.from([1, 2]).byteOffset, 2).length": 2,
    "Buffer.from({ type: 'Buffer', data: [5, 6] }).toJSON().data": [5, 6],
    "Buffer.alloc(3).toJSON().data": [0, 0, 0],
    "Buffer.alloc(3, 7).toJSON().data": [7, 7, 7],
    "Buffer.alloc(5, 'ab').toString()": "ababa",
    "Buffer.concat([Buffer.from([1]), Buffer.from([2, 3])]).toJSON().data": [1, 2, 3],
    "Buffer.concat([Buffer.from([1, 2, 3])], 2).toJSON().data": [1, 2],
    "Buffer.concat([Buffer.from([1])], 3).toJSON().data": [1, 0, 0],
    "[Buffer.isBuffer(Buffer.alloc(1)), Buffer.isBuffer(new Uint8Array(1))]": [True, False],
    "[Buffer.isEncoding('hex'), Buffer.isEncoding('nothing')]": [True, False],
    "Buffer.byteLength('grün')": 5,
    "[Buffer.compare(Buffer.from('a'), Buffer.from('b')), Buffer.from('a').equals(Buffer.from('a'))]": [
        -1,
        True,
    ],
    "Buffer.from([1, 2, 3, 4]).slice(1, 3).toJSON().data": [2, 3],
    "Buffer.from([1, 2, 3, 4]).slice(-2).toString('hex')": "0304",
    "(() => { const b = Buffer.from([1, 2, 3]); b.slice(1)[0] = 9; return b.toJSON().data })()": [1, 9, 3],
    "Buffer.from([1, 2, 3]).subarray(1).readUInt8(0)": 2,
    "Buffer.from([1, 2, 3]).map(x => x * 2) instanceof Uint8Array": True,
    "[...Buffer.from([1, 2])]": [1, 2],
    "Buffer.from([3, 1, 2]).sort().toString('hex')": "010203",
    "Buffer.from([1, 2]).reverse().toString('hex')": "0201",
    "Buffer.from([0x80, 0xff]).readInt8(0)": -128,
    "Buffer.from([0x80, 0xff]).readUint8(1)": 255,
    "Buffer.from([0x80, 0x01]).readInt16BE(0)": -32767,
    "Buffer.from([0x80, 0x01]).readUInt16LE()": 384,
    "Buffer.from([1, 2, 3, 4]).readUInt32BE(0)": 16909060,
    "Buffer.from([255, 255, 255, 255]).readInt32LE(0)": -1,
    "Buffer.from([0, 0, 200, 65]).readFloatLE(0)": 25,
    "Buffer.from([64, 9, 33, 251, 84, 68, 45, 24]).readDoubleBE(0)": 3.141592653589793,
    "Number(Buffer.from([0, 0, 0, 0, 0, 0, 1, 0]).readBigUInt64BE(0))": 256,
    "Number(Buffer.from([255, 255, 255, 255, 255, 255, 255, 255]).readBigInt64LE(0))": -1,
    "Buffer.from([1, 2, 3]).readUIntBE(0, 3)": 66051,
    "Buffer.from([255, 255, 255, 255, 255, 127]).readIntLE(0, 6)": 140737488355327,
    "Buffer.from([255, 255, 255]).readIntBE(0, 3)": -1,
    "(() => { const b = Buffer.alloc(4); return [b.writeUInt16BE(258, 1), b.toString('hex')] })()": [
        3,
        "00010200",
    ],
    "(() => { const b = Buffer.alloc(4); b.writeInt32LE(-2); return b.toString('hex') })()": "feffffff",
    "(() => { const b = Buffer.alloc(4); b.writeFloatBE(1.5, 0); return b.toString('hex') })()": "3fc00000",
    "(() => { const b = Buffer.alloc(3); b.writeUIntLE(66051, 0, 3); return b.toString('hex') })()": "030201",
    "(() => { const b = Buffer.alloc(3); b.writeIntBE(-2, 0, 3); return b.toString('hex') })()": "fffffe",
    "(() => { const b = Buffer.alloc(5); return [b.write('héy', 1), b.toString('hex')] })()": [
        4,
        "0068c3a979",
    ],
    "(() => { const b = Buffer.alloc(2); return [b.write('0aff', 'hex'), b.toString('hex')] })()": [
        2,
        "0aff",
    ],
    "(() => { const b = Buffer.alloc(3); return [Buffer.from([1, 2, 3, 4]).copy(b, 1, 1), b.toString('hex')] })()": [
        2,
        "000203",
    ],
    "Buffer.alloc(4).fill('ab', 1).toString('hex')": "00616261",
    "[Buffer.from('hello').indexOf('l'), Buffer.from('hello').includes('lo'), Buffer.from('a').indexOf(98)]": [
        2,
        True,
        -1,
    ],
    "Buffer.from([1, 2, 3, 4]).swap16().toString('hex')": "02010403",
    "Buffer.from([1, 2, 3, 4]).swap32().toString('hex')": "04030201",
    "JSON.stringify({ b: Buffer.from([1]) })": '{"b":{"type":"Buffer","data":[1]}}',
    "String(Buffer.from('text'))": "text",
    "Buffer.from('a') + 'b'": "ab",
    "Object.keys(Buffer.from([7, 8]))": ["0", "1"],
    "(() => { try { Buffer.from([1]).readUInt8(1) } catch (e) { return [e.name, e.code, e.message] } })()": [
        "RangeError",
        "ERR_OUT_OF_RANGE",
        'The value of "offset" is out of range. It must be >= 0 and <= 0. Received 1',
    ],
    "(() => { try { Buffer.from([1]).readUInt16LE(0) } catch (e) { return e.code } })()": "ERR_BUFFER_OUT_OF_BOUNDS",
    "(() => { try { Buffer.from(5) } catch (e) { return e.name } })()": "TypeError",
    "(() => { try { Buffer.alloc(1).toString('no') } catch (e) { return e.message } })()": "Unknown encoding: no",
    "new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 65]))": "A",
    "Array.from(new TextEncoder().encode('ü\\ud800'))": [195, 188, 239, 191, 189],
    "[atob('T0s='), btoa('OK')]": ["OK", "T0s="],
    "require('buffer').Buffer === Buffer": True,
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_buffer_says_what_it_says_in_node(expression: str) -> None:
    assert read_data("javascript", uplink(f"return {{ data: {expression} }}"), b"") == EXPRESSIONS[expression]


def test_what_is_expected_is_what_node_says() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")

    program = f"console.log(JSON.stringify([{','.join(EXPRESSIONS)}]))"
    ran = subprocess.run([node, "-e", program], capture_output=True, check=True, timeout=60)

    assert json.loads(ran.stdout) == list(EXPRESSIONS.values())
