// The calls: JSON text in, JSON text out. Nothing out means that the context is not to be used again, once the text was
// taken. Texts are never joined to be given out: the engine keeps long ones in parts that can't leave it.

const { parse, stringify } = JSON;
const RESULT_LIMIT = 262144;
const MESSAGE_LIMIT = 500;
const HARNESS_LINES = 20000;
const [isArray, DateOf, StringOf, PromiseOf, InternalErrorOf] = [Array.isArray, Date, String, Promise, InternalError];
let entries = {};

function describe(error) {
  if (error === null) return "The codec threw null, as the engine does when its memory is used up.";
  if (!(error instanceof Error)) return "The codec threw " + StringOf(error).slice(0, MESSAGE_LIMIT);
  const text = StringOf(error.name) + ": " + StringOf(error.message).slice(0, MESSAGE_LIMIT);
  for (const frame of StringOf(error.stack).split("\n")) {
    const place = /\(<input>:(\d+):(\d+)\)$/.exec(frame);
    if (place && +place[1] < HARNESS_LINES) return text + " (line " + place[1] + ", column " + place[2] + ")";
  }
  return text;
}

let last = "";

function give(text, spoilt) {
  last = text;
  return spoilt ? null : text;
}

// Without memory the engine throws its own errors, or what is none at all.
function isHarmless(error) {
  return error instanceof Error && !(error instanceof InternalErrorOf);
}

function writeBigInt(name, value) {
  if (typeof value !== "bigint") return value;
  return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value.toString();
}

function write(result) {
  let text;
  try {
    text = stringify(result);
  } catch (error) {
    text = stringify(result, writeBigInt);
  }
  if (text.length <= RESULT_LIMIT) return text;
  return stringify({ errors: ["The result has " + text.length + " characters; at most " + RESULT_LIMIT + " are kept."] });
}

function makeCall(work) {
  return function (first, second, third, fourth) {
    try {
      return give(write(work(first, second, third, fourth)), isSpoilt());
    } catch (error) {
      return give(stringify(refuse(describe(error))), !isHarmless(error) || isSpoilt());
    }
  };
}

function listWords(words) {
  return (isArray(words) ? words : [words]).map((word) => (typeof word === "string" ? word : StringOf(stringify(word))));
}

function takeWords(answer, name, words) {
  if (words === undefined || words === null || (isArray(words) && !words.length)) return;
  answer[name] = (answer[name] || []).concat(listWords(words));
}

function refuse(reason) {
  return { errors: [reason] };
}

function checkReturned(result, name) {
  if (result === undefined || result === null) return name + " returned nothing.";
  return result instanceof PromiseOf ? name + " is asynchronous, which is not supported; return the result itself." : "";
}

function takeEnvelope(result, name) {
  const wrong = checkReturned(result, name);
  if (wrong) return refuse(wrong);
  const answer = { data: result.data };
  if (result.messages !== undefined) answer.messages = result.messages;
  takeWords(answer, "warnings", result.warnings);
  takeWords(answer, "errors", result.errors);
  const empty = (answer.data === undefined || answer.data === null) && !answer.messages && !answer.errors;
  if (empty) answer.errors = [name + " returned no data."];
  return answer;
}

function normalize(answer) {
  if (!entries.normalizeUplink || answer.errors || answer.data === undefined) return answer;
  const normalized = takeEnvelope(entries.normalizeUplink({ data: answer.data }), "normalizeUplink");
  answer.normalized = normalized.data;
  takeWords(answer, "warnings", normalized.warnings);
  takeWords(answer, "warnings", normalized.errors);
  return answer;
}

class Uplink {
  constructor(bytes, fPort, topic, receivedAt) {
    this.bytes = bytes;
    this.fPort = fPort;
    if (receivedAt !== null) this.recvTime = new DateOf(receivedAt);
    if (topic !== null) this.topic = topic;
  }
  get variables() {
    return {};
  }
  get text() {
    return readUtf8(this.bytes);
  }
}
Object.freeze(Uplink.prototype);

function decodeUplink(bytes, fPort, topic, receivedAt) {
  return normalize(takeEnvelope(entries.decodeUplink(new Uplink(bytes, fPort, topic, receivedAt)), "decodeUplink"));
}

function wrapData(data, name) {
  const wrong = checkReturned(data, name);
  return wrong ? refuse(wrong) : normalize({ data });
}

function decode(text, fPort, topic, receivedAt) {
  const bytes = parse(text);
  if (entries.decodeUplink) return decodeUplink(bytes, fPort, topic, receivedAt);
  if (entries.Decoder) return wrapData(entries.Decoder(bytes, fPort), "Decoder");
  if (entries.Decode) return wrapData(entries.Decode(fPort, bytes, {}), "Decode");
  return refuse("The source has no decodeUplink(input), Decoder(bytes, port) or Decode(fPort, bytes).");
}

function listBytes(bytes) {
  return ArrayBuffer.isView(bytes) ? arrayFrom(bytes) : bytes;
}
const arrayFrom = Array.from;

function encodeDownlink(data, fPort) {
  const result = entries.encodeDownlink(fPort === null ? { data } : { data, fPort });
  const wrong = checkReturned(result, "encodeDownlink");
  if (wrong) return refuse(wrong);
  const answer = { bytes: listBytes(result.bytes), fPort: result.fPort };
  takeWords(answer, "warnings", result.warnings);
  takeWords(answer, "errors", result.errors);
  return answer;
}

function encode(text, fPort) {
  const data = parse(text);
  if (entries.encodeDownlink) return encodeDownlink(data, fPort);
  if (entries.Encoder) return { bytes: listBytes(entries.Encoder(data, fPort)) };
  if (entries.Encode) return { bytes: listBytes(entries.Encode(fPort, data, {})) };
  return refuse("The source has no encodeDownlink(input), Encoder(data, port) or Encode(fPort, data).");
}

function encodeEvent(text) {
  if (!entries.encode) return refuse("The source has no encode(event).");
  const body = entries.encode(parse(text));
  const wrong = checkReturned(body, "encode");
  if (wrong) return refuse(wrong);
  if (typeof body === "string") return { text: body };
  return ArrayBuffer.isView(body) ? { bytes: arrayFrom(body) } : { json: body };
}

const NAMES = [
  "decodeUplink", "Decoder", "Decode", "normalizeUplink", "encodeDownlink", "Encoder", "Encode", "encode",
];

function findEntry(name, declared, exported) {
  if (typeof declared === "function") return declared;
  if (typeof exported === "function" && exported.name === name) return exported;
  const own = exported && (exported[name] || (exported.default && exported.default[name]));
  return typeof own === "function" ? own : undefined;
}

// A plain object for what is called: `this` inside of the codec's functions is not ours.
function link(...declared) {
  const exported = globalThis.module && globalThis.module.exports;
  const found = Object.create(null);
  NAMES.forEach((name, at) => {
    const entry = findEntry(name, declared[at], exported);
    if (entry) found[name] = (first, second, third) => entry(first, second, third);
  });
  entries = found;
  return stringify(Object.keys(found));
}

const silent = () => undefined;
const CONSOLE = ["log", "info", "warn", "error", "debug", "trace", "dir", "table", "group", "groupEnd", "assert", "time", "timeEnd"];

function requireModule(name) {
  if (name === "buffer" || name === "node:buffer") return { Buffer };
  if (name === "util" || name === "node:util") return { TextEncoder, TextDecoder };
  throw new Error("Cannot find module '" + name + "': a codec is one file, and only 'buffer' and 'util' can be required.");
}

replace(globalThis, {
  Buffer, TextEncoder, TextDecoder, global: globalThis, require: requireModule,
  console: Object.fromEntries(CONSOLE.map((name) => [name, silent])),
});
const intrinsics = collectIntrinsics();
const originals = Reflect.ownKeys(globalThis).map((name) => [name, globalThis[name]]);
replace(globalThis, { module: { exports: {} } });
replace(globalThis, { exports: module.exports });

return function harness(operation, ...values) {
  if (operation === "link") return link(...values);
  if (operation === "take") return last;
  if (operation === "lock") {
    lockIntrinsics(intrinsics, originals);
    rememberShared();
  }
  return makeCall({ decode, encode, encodeEvent }[operation]);
};
