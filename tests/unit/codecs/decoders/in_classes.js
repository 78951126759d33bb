// Methods of an object that use `this`, private fields, static blocks: what is exported is an instance.
'use strict';
class Codec {
  #scale = 10;
  static names;
  static { Codec.names = ['t', 'h']; }
  decodeUplink(input) { return { data: this.read(input.bytes), warnings: this.warn(input) }; }
  read([t, h]) { return Object.fromEntries([t / this.#scale, h].map((value, at) => [Codec.names[at], value])); }
  warn({ fPort }) { return fPort > 9 ? [`port ${fPort}`] : []; }
  encodeDownlink({ data }) { return { bytes: [data.t * this.#scale], fPort: 3 }; }
}
module.exports = new Codec();
