// Says a lot to a console that nobody reads, and looks around where it is.
console.log('loaded');
var where = typeof window !== 'undefined' ? 'browser' : typeof global !== 'undefined' ? 'node' : 'else';
function decodeUplink(input) {
  console.log('bytes', input.bytes); console.warn('%d', 1); console.error(new Error('x')); console.info(); console.debug({}); console.table([1]);
  console.time('t'); console.timeEnd('t'); console.group('g'); console.groupEnd(); console.assert(true); console.dir({}); console.trace;
  return { data: { where: where, exported: typeof module.exports, self: typeof self, globalThis: typeof globalThis, same: globalThis === global } };
}
if (typeof module !== 'undefined' && module.exports) { module.exports = { decodeUplink: decodeUplink }; }
