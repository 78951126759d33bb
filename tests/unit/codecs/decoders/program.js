#!/usr/bin/env node
// May be run by itself, too.
function decodeUplink(input) {
  return { data: { t: input.bytes[0] } };
}
if (typeof require !== 'undefined' && typeof module !== 'undefined' && require.main === module) {
  console.log(decodeUplink({ bytes: [1] }));
}
module.exports = { decodeUplink };
