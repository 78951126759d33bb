// Top-level variables that every call writes again.
var decoded = {}, warnings = [];
const units = Object.freeze({ t: '°C' });
let calls;
function decodeUplink(input) {
  decoded = {}; warnings = []; calls = input.bytes.length;
  read(input.bytes);
  return { data: decoded, warnings: warnings };
}
function read(bytes) { decoded.t = bytes[0]; decoded.unit = units.t; units.t = 'K'; decoded.kept = units.t; if (calls > 1) warnings.push('long'); decoded.calls = calls; }
