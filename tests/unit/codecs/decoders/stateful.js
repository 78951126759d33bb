// Counts and collects at the top, as if every message were the first: networks run the source anew for each.
var decoded = {};
let seen = 0;
const history = [], table = { 1: 'temperature', 2: 'humidity' };
var counter = (function () { var n = 0; return { next: function () { return ++n; } }; })();
class Reader { static made = 0; constructor(bytes) { this.bytes = bytes; Reader.made++; } }
function decodeUplink(input) {
  seen++;
  history.push(input.bytes[0]);
  table[9] = (table[9] || 0) + 1;
  new Reader(input.bytes);
  if (input.fPort === 1) decoded.temperature = input.bytes[0] / 2;
  if (input.fPort === 2) decoded.humidity = input.bytes[0];
  last = typeof last === 'undefined' ? 'first' : 'again';
  decodeUplink.calls = (decodeUplink.calls || 0) + 1;
  return { data: { decoded: decoded, seen: seen, history: history, table: table, next: counter.next(), made: Reader.made, last: last, calls: decodeUplink.calls } };
}
