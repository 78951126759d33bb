// One function for each port, texts by ternaries, dates put together by hand, `variables` as a third argument.
function Decode(fPort, bytes, variables) {
  var mode = (bytes[6] & 0x7C) >> 2, decode = {};
  if (fPort == 0x05) {
    var freq = ['NULL', 'EU868', 'US915', 'IN865', 'AU915'][bytes[3]];
    return { SENSOR_MODEL: bytes[0] == 0x1E ? 'BOX-1' : 'NULL', FIRMWARE_VERSION: (bytes[1] & 0x0f) + '.' + (bytes[2] >> 4 & 0x0f) + '.' + (bytes[2] & 0x0f), FREQUENCY_BAND: freq, BAT: (bytes[5] << 8 | bytes[6]) / 1000, TDC: variables && variables.tdc ? variables.tdc : 1200 };
  }
  decode.BatV = (bytes[0] << 8 | bytes[1]) / 1000;
  decode.TempC1 = parseFloat(((bytes[2] << 24 >> 16 | bytes[3]) / 10).toFixed(2));
  decode.ADC_CH0V = (bytes[4] << 8 | bytes[5]) / 1000;
  decode.Digital_IStatus = (bytes[6] & 0x02) ? 'H' : 'L';
  decode.Door = mode == 3 ? 'OPEN' : 'CLOSE';
  decode.Node_type = 'BOX';
  decode.at = stamp((bytes[0] * 256 + bytes[1]) * 100000);
  decode.hexaddr = str_pad(bytes[2]) + str_pad(bytes[3]);
  if (bytes.length == 7) return decode;
}
function str_pad(byte) { var zero = '00', hex = byte.toString(16), tmp = 2 - hex.length; return zero.substr(0, tmp) + hex + ' '; }
function stamp(seconds) { var d = new Date(seconds * 1000); return d.getUTCFullYear() + '-' + two(d.getUTCMonth() + 1) + '-' + two(d.getUTCDate()) + ' ' + two(d.getUTCHours()); }
function two(n) { return parseInt(n) < 10 ? '0' + n : '' + n; }
