// The second version of The Things Network: Decoder(bytes, port) returns the object itself; bit operators throughout.
function Decoder(bytes, port) {
  var decoded = {};
  if (port === 5) {
    decoded.flags = { door: (bytes[0] & 0x80) !== 0, tamper: !!(bytes[0] & 0x40), level: bytes[0] & 0x3f };
    decoded.unsigned = (bytes[1] << 24 | bytes[2] << 16 | bytes[3] << 8 | bytes[4]) >>> 0;
    decoded.signed = bytes[1] << 24 | bytes[2] << 16 | bytes[3] << 8 | bytes[4];
    decoded.short = (bytes[5] << 8 | bytes[6]) << 16 >> 16;
    decoded.inverted = ~bytes[0];
    decoded.mixed = (bytes[1] ^ bytes[2]) + (bytes[3] << 31 >>> 31);
    decoded.missing = bytes[99] << 8 | bytes[100];
    decoded.lost = bytes[99] / 2;
  }
  return decoded;
}
