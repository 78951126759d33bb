// What Node makes of decoders: cases in on standard input, results out on standard output, both JSON.
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const NAMES = ['decodeUplink', 'Decoder', 'Decode', 'normalizeUplink', 'encodeDownlink', 'Encoder', 'Encode'];
const silent = Object.fromEntries(
  ['log', 'info', 'warn', 'error', 'debug', 'table', 'dir', 'time', 'timeEnd', 'group', 'groupEnd', 'assert', 'trace'].map((name) => [name, () => {}]));

function load(file) {
  const globals = { Buffer, TextDecoder, TextEncoder, atob, btoa, console: silent, require, module: { exports: {} } };
  const context = vm.createContext(globals);
  globals.exports = globals.module.exports;
  globals.global = vm.runInContext('globalThis', context);
  vm.runInContext(fs.readFileSync(file, 'utf8'), context);
  const found = vm.runInContext(`({${NAMES.map((name) => `${name}: typeof ${name} === 'function' ? ${name} : undefined`).join()}})`, context);
  const own = globals.module.exports;
  NAMES.forEach((name) => { found[name] = found[name] || (own[name] && own[name].bind(own)); });
  found.run = (code, values) => vm.runInContext(code, context)(...values.map((value) => JSON.stringify(value)));
  return found;
}

// Lists and times are made inside of the context, as they are where decoders run.
const INPUT = `(bytes, fPort, time) => {
  const input = { bytes: JSON.parse(bytes), fPort: JSON.parse(fPort), variables: {} };
  if (time !== 'null') input.recvTime = new Date(JSON.parse(time));
  return input;
}`;

function decode(codec, one) {
  const input = codec.run(INPUT, [[...Buffer.from(one.hex, 'hex')], one.f_port, one.received_at || null]);
  if (codec.decodeUplink) return codec.decodeUplink(input);
  return { data: codec.Decoder ? codec.Decoder(input.bytes, input.fPort) : codec.Decode(input.fPort, input.bytes, {}) };
}

function encode(codec, one) {
  if (codec.encodeDownlink) return codec.encodeDownlink({ data: one.data, fPort: one.f_port });
  return { bytes: codec.Encode ? codec.Encode(one.f_port, one.data, {}) : codec.Encoder(one.data, one.f_port) };
}

function run(one) {
  try {
    const codec = load(path.join(__dirname, 'decoders', one.decoder));
    const result = one.hex === undefined ? encode(codec, one) : decode(codec, one);
    return { result: result === undefined ? null : result };
  } catch (error) {
    return { threw: true };
  }
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(run)));
