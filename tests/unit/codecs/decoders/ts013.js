// LoRa Alliance TS013, as it is documented: ports, warnings, errors, downlinks, a normalised form.
var MODES = ['idle', 'heating', 'cooling'];

function decodeUplink(input) {
  switch (input.fPort) {
    case 1:
      var warnings = [];
      var temperature = ((input.bytes[0] << 24) >> 16 | input.bytes[1]) / 100;
      if (temperature > 80) {
        warnings.push('temperature is implausible');
      }
      return {
        data: { temperature: temperature, mode: MODES[input.bytes[2]], battery: input.bytes[3] / 254 * 100 },
        warnings: warnings
      };
    case 2:
      return { data: { version: input.bytes.join('.') } };
    case 3:
      return { data: {}, warnings: ['nothing but a sign of life'], errors: [] };
    default:
      return { errors: ['unknown FPort ' + input.fPort] };
  }
}

function normalizeUplink(input) {
  var air = {};
  if (input.data.temperature !== undefined) {
    air.temperature = input.data.temperature;
  }
  return { data: { air: air } };
}

function encodeDownlink(input) {
  return { bytes: [MODES.indexOf(input.data.mode), input.data.minutes >> 8, input.data.minutes & 0xff], fPort: 10 };
}

function decodeDownlink(input) {
  return { data: { mode: MODES[input.bytes[0]], minutes: input.bytes[1] << 8 | input.bytes[2] } };
}
