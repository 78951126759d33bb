// IEEE 754 by hand and by typed arrays; rounding in all its fashions.
function bytesToFloat(b) {
  var bits = b[3] << 24 | b[2] << 16 | b[1] << 8 | b[0];
  var sign = (bits >>> 31 === 0) ? 1.0 : -1.0;
  var e = bits >>> 23 & 0xff;
  var m = (e === 0) ? (bits & 0x7fffff) << 1 : (bits & 0x7fffff) | 0x800000;
  return sign * m * Math.pow(2, e - 150);
}
function Decoder(bytes, port) {
  var f = bytesToFloat(bytes.slice(0, 4));
  var array = new Float32Array(new Uint8Array(bytes.slice(0, 4)).buffer);
  return {
    byHand: f, typed: array[0], fixed: f.toFixed(2), parsed: parseFloat(f.toFixed(1)), rounded: Math.round(f * 100) / 100,
    precise: f.toPrecision(4), exponential: (f * 1e22).toExponential(3), large: 123456789012345680000, larger: 1e21, tiny: 1e-7,
    third: 1 / 3, tenth: 0.1 + 0.2, floor: Math.floor(-f), trunc: Math.trunc(-f), mod: -7 % 3, sign: Math.sign(-f), cbrt: Math.cbrt(8),
    hypot: Math.hypot(3, 4), log: Math.log10(1000), power: bytes[0] ** 2, max: Math.max.apply(null, bytes), exp: Math.exp(1.5),
    ln: Math.log(f + 1), tan: Math.atan2(1, 2), sqrt: Math.sqrt(2), lost: 0.1 * 3, hexa: (255).toString(16), binary: (5).toString(2), radix: (0.5).toString(8),
    number: Number('0x1f'), float: parseFloat('3.14abc'), integer: parseInt('12px'), none: parseInt('px')
  };
}
