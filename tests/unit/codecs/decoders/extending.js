// Extends what the language brings, at the top and while it is called, and brings what old engines lack.
String.prototype.lpad = function (length) { var s = this; while (s.length < length) s = '0' + s; return s; };
Array.prototype.sum = function () { return this.reduce(function (a, b) { return a + b; }, 0); };
Number.prototype.inHex = function () { return this.toString(16); };
if (!Array.prototype.includes) Array.prototype.includes = function (x) { return this.indexOf(x) >= 0; };
Math.average = function (list) { return list.sum() / list.length; };
Object.values = Object.values || function (o) { return Object.keys(o).map(function (k) { return o[k]; }); };

function Decoder(bytes, port) {
  Array.prototype.last = function () { return this[this.length - 1]; };
  String.prototype.shout = String.prototype.shout || function () { return this.toUpperCase() + '!'; };
  Math.twice = function (n) { return n * 2; };
  Uint8Array.prototype.hex = function () { return Array.prototype.map.call(this, function (b) { return b.toString(16); }).join(); };
  var keys = [];
  for (var name in { a: 1 }) keys.push(name);
  return { padded: bytes[0].inHex().lpad(4), sum: bytes.sum(), average: Math.average(bytes), last: bytes.last(), shout: 'hey'.shout(), twice: Math.twice(port),
           hex: new Uint8Array(bytes).hex(), keys: keys, values: Object.values({ a: 1 }), includes: bytes.includes(2) };
}
