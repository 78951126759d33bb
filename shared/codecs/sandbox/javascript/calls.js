// The calls: JSON text in, JSON text out. Nothing out means that the context is not to be used again, once the text was
// taken. Texts are never joined to be given out: the engine keeps long ones in parts that can't leave it.

const { parse, stringify } = JSON;
const RESULT_LIMIT = 262144;
const MESSAGE_LIMIT = 500;
const HARNESS_LINES = 20000;
const [isArray, DateOf, StringOf, PromiseOf, InternalErrorOf] = [Array.isArray, Date, String, Promise, InternalError];
const NOT_JSON = "Numbers and times that JSON has not (NaN, infinities, invalid dates) became null.";

function describe(error) {
  if (error === null) return "The codec threw null, as the engine does when its memory is used up.";
  if (!(error instanceof Error)) return "The codec threw " + StringOf(error).slice(0, MESSAGE_LIMIT);
  const text = StringOf(error.name) + ": " + StringOf(error.message).slice(0, MESSAGE_LIMIT);
  for (const frame of StringOf(error.stack).split("\n")) {
    const place = /\(<input>:(\d+):(\d+)\)$/.exec(frame);
    const line = place ? place[1] - (runAnew ? 1 : 0) : HARNESS_LINES + 1;
    if (line <= HARNESS_LINES) return text + " (line " + line + ", column " + place[2] + ")";
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

let lost = 0;

function writeOne(name, value) {
  if (typeof value === "bigint") return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value.toString();
  // Of a date that is none only its JSON comes here, which is null.
  if (typeof value === "number" ? value - value !== 0 : value === null && this[name] instanceof DateOf) lost++;
  return value;
}

function writeEach(result) {
  lost = 0;
  const text = stringify(result, writeOne);
  if (!lost) return text;
  takeWords(result, "warnings", NOT_JSON);
  return stringify(result, writeOne);
}

function tryPlainly(result) {
  try {
    const text = stringify(result);
    return text.includes("null") ? null : text;
  } catch (error) {
    return null;
  }
}

function write(result) {
  const text = tryPlainly(result) || writeEach(result);
  if (text.length <= RESULT_LIMIT) return text;
  return stringify({ errors: ["The result has " + text.length + " characters; at most " + RESULT_LIMIT + " are kept."] });
}

function makeCall(work) {
  return function (first, second, third, fourth) {
    try {
      begin();
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
  if (words === undefined || words === null || words === false || words.length === 0) return;
  answer[name] = (answer[name] || []).concat(listWords(words));
}

function refuse(reason) {
  return { errors: [reason] };
}

function checkReturned(result, name) {
  if (result === undefined || result === null) return name + " returned nothing.";
  return result instanceof PromiseOf ? name + " is asynchronous, which is not supported; return the result itself." : "";
}

// What has none of the members of TS013 is the data itself, as it is with the older functions.
function openEnvelope(result) {
  if (typeof result !== "object") return { data: result };
  if ("data" in result || "messages" in result || "warnings" in result || "errors" in result) return result;
  return isArray(result) || keys(result).length ? { data: result } : result;
}

function takeEnvelope(returned, name) {
  const wrong = checkReturned(returned, name);
  if (wrong) return refuse(wrong);
  const result = openEnvelope(returned);
  const answer = { data: result.data };
  if (result.messages !== undefined) answer.messages = result.messages;
  takeWords(answer, "warnings", result.warnings);
  takeWords(answer, "errors", result.errors);
  const empty = (answer.data === undefined || answer.data === null) && !answer.messages && !answer.errors;
  if (empty) answer.errors = [name + " returned no data."];
  return answer;
}

// Whatever normalizing comes to, the data were decoded.
function normalize(answer) {
  const normalizeUplink = find("normalizeUplink");
  if (!normalizeUplink || answer.errors || answer.data === undefined) return answer;
  try {
    const normalized = takeEnvelope(normalizeUplink({ data: answer.data }), "normalizeUplink");
    answer.normalized = normalized.data;
    takeWords(answer, "warnings", normalized.warnings);
    takeWords(answer, "warnings", normalized.errors);
  } catch (error) {
    if (!isHarmless(error)) throw error;
    takeWords(answer, "warnings", "normalizeUplink: " + describe(error));
  }
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
  set variables(own) {
    defineOwn(this, "variables", own);
  }
  get text() {
    return readUtf8(this.bytes);
  }
  set text(own) {
    defineOwn(this, "text", own);
  }
}
Object.freeze(Uplink.prototype);

function wrapData(data, name) {
  const wrong = checkReturned(data, name);
  return wrong ? refuse(wrong) : normalize({ data });
}

function decode(text, fPort, topic, receivedAt) {
  const bytes = parse(text);
  const decodeUplink = find("decodeUplink");
  if (decodeUplink) {
    return normalize(takeEnvelope(decodeUplink(new Uplink(bytes, fPort, topic, receivedAt)), "decodeUplink"));
  }
  const [Decoder, Decode] = [find("Decoder"), find("Decode")];
  if (Decoder) return wrapData(Decoder(bytes, fPort), "Decoder");
  if (Decode) return wrapData(Decode(fPort, bytes, {}), "Decode");
  return refuse("The source has no decodeUplink(input), Decoder(bytes, port) or Decode(fPort, bytes).");
}

function listBytes(bytes) {
  return ArrayBuffer.isView(bytes) ? arrayFrom(bytes) : bytes;
}
const arrayFrom = Array.from;

function readDownlink(result) {
  const wrong = checkReturned(result, "encodeDownlink");
  if (wrong) return refuse(wrong);
  const isBytes = isArray(result) || ArrayBuffer.isView(result);
  const answer = { bytes: listBytes(isBytes ? result : result.bytes), fPort: result.fPort };
  takeWords(answer, "warnings", result.warnings);
  takeWords(answer, "errors", result.errors);
  return answer;
}

// What is not known of a command is absent.
function encode(text, fPort, name, topic) {
  const data = parse(text);
  const [encodeDownlink, Encoder, Encode] = ["encodeDownlink", "Encoder", "Encode"].map(find);
  if (encodeDownlink) {
    const told = [["fPort", fPort], ["name", name], ["topic", topic]].filter((one) => one[1] !== null);
    return readDownlink(encodeDownlink(Object.fromEntries([["data", data], ...told])));
  }
  if (Encoder) return { bytes: listBytes(Encoder(data, fPort)) };
  if (Encode) return { bytes: listBytes(Encode(fPort, data, {})) };
  const reason = "The source has no encodeDownlink(input), Encoder(data, port) or Encode(fPort, data).";
  return { ...refuse(reason), absent: true };
}

function encodeEvent(text) {
  const encode = find("encode");
  if (!encode) return refuse("The source has no encode(event).");
  const body = encode(parse(text));
  const wrong = checkReturned(body, "encode");
  if (wrong) return refuse(wrong);
  if (typeof body === "string") return { text: body };
  return ArrayBuffer.isView(body) ? { bytes: arrayFrom(body) } : { json: body };
}

const NAMES = [
  "decodeUplink", "Decoder", "Decode", "normalizeUplink", "encodeDownlink", "Encoder", "Encode", "encode",
];
const PLACES = { __proto__: null, ...Object.fromEntries(NAMES.map((name, at) => [name, at])) };

// What the source declares, by its place, and the function that runs the source anew: it keeps nothing from one call to
// the next, as on the networks that decoders are written for. Null where it can run once only.
let declared = [];
let runAnew = null;

function begin() {
  if (runAnew !== null) declared = apply(runAnew, globalThis, []);
}

function bindMember(owner, name) {
  const member = owner ? owner[name] : undefined;
  return typeof member === "function" ? (...values) => apply(member, owner, values) : undefined;
}

// The function of that name, if any. `this` inside of it is what it is a member of, never something of ours.
function find(name) {
  const own = declared[PLACES[name]];
  if (typeof own === "function") return own;
  const exported = globalThis.module ? globalThis.module.exports : undefined;
  if (!exported) return undefined;
  if (typeof exported === "function" && exported.name === name) return exported;
  return bindMember(exported, name) || bindMember(exported.default, name);
}

function link(...found) {
  declared = found;
  return stringify(NAMES.filter(find));
}

// Whether the source runs again as it did the first time.
function renew(run) {
  runAnew = run;
  try {
    const before = stringify(NAMES.filter(find));
    begin();
    return stringify(NAMES.filter(find)) === before;
  } catch (error) {
    return false;
  }
}

const silent = () => undefined;
const CONSOLE = [
  "log", "info", "warn", "error", "debug", "trace", "dir", "dirxml", "table", "assert", "clear", "count", "countReset",
  "group", "groupCollapsed", "groupEnd", "time", "timeLog", "timeEnd",
];

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
  if (operation === "renew") return renew(...values);
  if (operation === "take") return last;
  if (operation === "lock") {
    lockIntrinsics(intrinsics, originals);
    rememberShared();
  }
  return makeCall({ decode, encode, encodeEvent }[operation]);
};
