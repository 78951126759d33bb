// Typed arrays and views over the bytes, base64, text decoders of several names, dates, strings of old.
function decodeUplink(input) {
  var bytes = new Uint8Array(input.bytes), view = new DataView(bytes.buffer);
  var text = new TextDecoder('ascii').decode(bytes), wide = new TextDecoder('utf-16le').decode(bytes.slice(0, 4));
  var strict; try { strict = new TextDecoder('utf-8', { fatal: true }).decode(bytes); } catch (error) { strict = error.name; }
  return { data: {
    i16: view.getInt16(0), u16: view.getUint16(0, true), f32: view.getFloat32(0), f64: view.getFloat64(0), big: view.getBigInt64(0).toString(), halves: new Float32Array(bytes.buffer, 0, 2)[1],
    text: text, latin: new TextDecoder('latin1').decode(bytes), name: new TextDecoder('latin1').encoding, wide: wide, strict: strict, loose: new TextDecoder().decode(bytes), marked: new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array([0xef, 0xbb, 0xbf, 65])).length,
    base64: btoa(String.fromCharCode.apply(null, input.bytes)), back: atob('SGk=').charCodeAt(1), sub: 'abcdef'.substr(-3, 2), anchor: 'a'.bold(), year: new Date(0).getYear(), parsed: [parseInt('0x1f'), parseInt('08'), parseFloat('1.5abc'), Number(''), Number('1e3'), +true],
    time: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)).toISOString(), date: new Date(1767323045000), month: new Date('2026-01-02T03:04:05Z').getMonth(), signed: Int8Array.from(bytes).join(), escaped: escape('ü'), fixed: [(1.005).toFixed(2), (1e21).toFixed(2), (0.1 + 0.2).toPrecision(3), (255).toString(36)], zero: Object.is(-0, 0), floats: [0.1 + 0.2, 1 / 3, 5e-324, 1e21, 123456789012345680000]
  } };
}
