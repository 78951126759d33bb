// A byte order mark before it, and line ends of another system.
"use strict";
var scale = 10;
function decodeUplink(input) {
  return { data: { t: input.bytes[0] / scale, lines: `a
b`.length } };
}
