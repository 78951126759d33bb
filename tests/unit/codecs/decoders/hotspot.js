// A console of hotspots: a third argument that need not be there, and the whole under `decoded`.
function Decoder(bytes, port, uplink_info) {
  var decoded = { port: port, battery: (bytes[0] * 0.1).toFixed(1) * 1, volts: bytes[0] * 0.1 };
  if (uplink_info) { decoded.hotspots = uplink_info.hotspots.length; }
  return { decoded: decoded, payload_hex: bytes.map(function (b) { return ('00' + b.toString(16)).slice(-2); }).join('') };
}
