// Tables, getters, closures, symbols, regular expressions with flags, labelled values, bit fields by name.
var lookup = function (table) { return function (key) { return table.hasOwnProperty(key) ? table[key] : 'unknown(' + key + ')'; }; };
var status = lookup({ 0: 'ok', 1: 'fault', 255: 'off' });
var Bits = { read: function (bytes, from, length) { var value = 0; for (var n = 0; n < length; n++) { var bit = from + n; value = value << 1 | bytes[bit >> 3] >> (7 - (bit & 7)) & 1; } return value; } };
function decodeUplink(input) {
  var table = Object.create(null); table.x = 1;
  var iterable = { [Symbol.iterator]: function () { var n = 0; return { next: function () { return { value: n, done: n++ > 2 }; } }; } };
  var proxy = new Proxy({}, { get: function (t, name) { return 'no ' + String(name); } });
  var weak = new WeakMap(); weak.set(table, 1);
  return { data: { status: input.bytes.map(status), three: Bits.read(input.bytes, 3, 5), nine: Bits.read(input.bytes, 1, 9), inTable: 'x' in table, spread: [...iterable], proxied: proxy.value, weak: weak.has(table),
    tagged: ((parts, ...values) => parts.raw.join('|') + values)`a${1}\n${2}`, sticky: /a/y.test('ba'), unicode: /^\p{Lu}/u.test('Äb'), all: [...'a1b2'.matchAll(/\d/g)].map(m => m[0]), typeOf: [typeof null, typeof [], typeof 1n, typeof Symbol()], sum: Number(0xffffffffn + 1n), shift: 1 << 33, compare: '10' < '9', loose: '1' == 1, plus: '1' + 1, minus: '3' - 1, voids: void 0, comma: (1, 2), nullish: 0 ?? 1, or: 0 || 1, deleted: delete table.x } };
}
