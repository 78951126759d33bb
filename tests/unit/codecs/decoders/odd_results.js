// Results that are no plain JSON: what JSON.stringify makes of them counts.
function Decoder(bytes, port) {
  switch (port) {
    case 1: return { nan: NaN, infinite: -Infinity, minus: -0, nothing: undefined, empty: null, list: [undefined, NaN, , function () {}], fn: Decoder, symbol: Symbol('s') };
    case 2: return { date: new Date(86400000), regexp: /x/g, map: new Map([[1, 2]]), set: new Set([1]), error: new Error('e'), boxed: new Number(5), text: new String('t'), typed: new Uint8Array([1, 2]), float: new Float32Array([0.5]), buffer: new ArrayBuffer(2) };
    case 3: return { get computed() { return bytes.length; }, toJSON: undefined, nested: { toJSON: function () { return 'own'; } }, inherited: Object.create({ hidden: 1 }, { own: { value: 2, enumerable: true }, secret: { value: 3 } }) };
    case 4: return bytes;
    case 5: return 'text';
    case 6: return 42.5;
    case 7: return false;
    case 8: var array = [1, 2]; array.extra = 3; array.keys = 'mine'; return { array: array, keys: array.keys, length: array.length };
    case 9: return { 2: 'b', 1: 'a', z: 1, a: 2, constructor: 'c', toString: 't', valueOf: 1, hasOwnProperty: true };
    case 10: return [{ field: 'TEMP', value: bytes[0] }, { field: 'HUM', value: bytes[1] }];
    case 11: return { big: Number.MAX_SAFE_INTEGER, bigger: 2 ** 64, small: Number.MIN_VALUE, largest: Number.MAX_VALUE, unsafe: 9007199254740993 };
    case 12: var copy = {}; copy.toString = function () { return 'copy'; }; copy.constructor = 'made'; return { text: '' + copy, made: copy.constructor };
  }
}
