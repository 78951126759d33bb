// What the language has had since 2020.
const codes = new Map([[1, 'low'], [2, 'high']]);
exports.decodeUplink = ({ bytes, fPort, ...rest }) => {
  const total = bytes.reduce((sum, byte) => sum + BigInt(byte), 0n);
  let level; level ??= codes.get(bytes?.[0]) ?? 'none';
  const error = new Error('outer', { cause: 'inner' });
  let flags = 0; flags ||= 1_000; flags &&= flags + 1;
  try { null.x } catch { flags++; }
  return { data: { level, last: bytes.at(-1), found: bytes.findLast((byte) => byte < 9), at: bytes.findLastIndex((byte) => byte < 9),
    sorted: bytes.toSorted((a, b) => a - b), reversed: bytes.toReversed(), spliced: bytes.toSpliced(0, 1), with: bytes.with(0, 7), bytes,
    has: Object.hasOwn({ a: 1 }, 'a'), cause: error.cause, flags, all: 'a-b-c'.replaceAll('-', '+'), total: Number(total), power: 2 ** 10, matched: 'x1y22'.match(/(?<digits>\d+)$/).groups.digits,
    nested: { bytes: new Uint8Array(bytes), list: [new Uint8ClampedArray([300, -5])] }, port: fPort, flat: [1, [2, [3]]].flat(Infinity), trimmed: ' a '.trimEnd(), optional: rest.none?.deep?.er, wellFormed: 'a\ud800'.isWellFormed() } };
};
