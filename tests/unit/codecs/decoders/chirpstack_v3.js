// ChirpStack 3: Decode(fPort, bytes, variables) and Encode(fPort, obj, variables); helpers that reach for each other.
function Decode(fPort, bytes, variables) {
  var reader = { at: 0, u8: function () { return bytes[this.at++]; }, u16: function () { return this.u8() * 256 + this.u8(); } };
  var values = [];
  while (reader.at < bytes.length) {
    values.push({ channel: reader.u8(), value: signed(reader.u16(), 16) / factor(fPort) });
  }
  return { port: fPort, values: values, scaled: variables.scale || 'none' };
}

function factor(port) { return port > 10 ? 100 : 10; }

function signed(value, bits) { return value >= Math.pow(2, bits - 1) ? value - Math.pow(2, bits) : value; }

function Encode(fPort, obj, variables) {
  return [fPort, obj.interval & 0xff, obj.interval >> 8];
}
