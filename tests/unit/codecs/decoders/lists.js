// The bytes themselves are changed; every way to walk a list.
function decodeUplink(input) {
  var bytes = input.bytes;
  var head = bytes.shift(), tail = bytes.pop();
  bytes.unshift(9); bytes.splice(1, 1); bytes.reverse();
  var sorted = bytes.slice().sort(function (a, b) { return a - b; }), text = bytes.concat().sort();
  var odd = [], i;
  for (i in bytes) if (bytes[i] % 2) odd.push(i);
  for (var byte of bytes) odd.push(byte);
  bytes.forEach(function (b, n, all) { odd.push(b + n + all.length); }, this);
  var grouped = bytes.reduce(function (groups, b) { (groups[b % 2 ? 'odd' : 'even'] = groups[b % 2 ? 'odd' : 'even'] || []).push(b); return groups; }, {});
  return { data: { head: head, tail: tail, rest: bytes, sorted: sorted, text: text, odd: odd, grouped: grouped, some: bytes.some(isBig), every: bytes.every(isBig), found: bytes.find(isBig), index: bytes.findIndex(isBig),
    filtered: bytes.filter(isBig), keys: Object.keys(bytes), entries: Object.entries({ a: 1 }), from: Array.from({ length: 3 }, (_, n) => n * n), filled: new Array(3).fill(0), of: Array.of(7), flatMap: [1, 2].flatMap(x => [x, x]), joined: [1, [2, [3]]].toString(),
    is: Array.isArray(bytes), holes: [, 1], copied: [3, 4, 5].copyWithin(0, 1), right: [1, 2, 3].reduceRight((a, b) => a - b), lastIndex: [1, 2, 1].lastIndexOf(1), length: (function () { return arguments.length; })(...bytes) } };
}
function isBig(b) { return b > 2; }
