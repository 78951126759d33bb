// UTF-8 as browsers and Node read and write it: what is no UTF-8 becomes U+FFFD.

const REPLACEMENT = 0xfffd;

function sequenceOf(first) {
  if (first >= 0xc2 && first <= 0xdf) return { more: 1, bits: first & 0x1f };
  if (first >= 0xe0 && first <= 0xef) return { more: 2, bits: first & 0x0f };
  if (first >= 0xf0 && first <= 0xf4) return { more: 3, bits: first & 0x07 };
  return null;
}

function isContinuation(first, index, byte) {
  if (byte === undefined || (byte & 0xc0) !== 0x80) return false;
  if (index > 0) return true;
  if (first === 0xe0) return byte >= 0xa0;
  if (first === 0xed) return byte <= 0x9f;
  if (first === 0xf0) return byte >= 0x90;
  return first !== 0xf4 || byte <= 0x8f;
}

const CHUNK = 4096;
const fromCodes = String.fromCharCode;
const [decodeEscaped, escapeText] = [decodeURIComponent, escape];

function readLatin1(bytes) {
  if (bytes.length <= CHUNK) return fromCodes.apply(null, bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += fromCodes.apply(null, bytes.slice(at, at + CHUNK));
  return text;
}

// The engine's own way, which throws at what is no UTF-8.
const readStrictUtf8 = (bytes) => decodeEscaped(escapeText(readLatin1(bytes)));

function readUtf8(bytes) {
  try {
    return readStrictUtf8(bytes);
  } catch (error) {
    return readAnyUtf8(bytes);
  }
}

function readAnyUtf8(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const sequence = sequenceOf(first);
    let code = sequence ? sequence.bits : REPLACEMENT;
    for (let index = 0; sequence && index < sequence.more; index++) {
      if (!isContinuation(first, index, bytes[at])) {
        code = REPLACEMENT;
        break;
      }
      code = (code << 6) | (bytes[at++] & 0x3f);
    }
    text += String.fromCodePoint(code);
  }
  return text;
}

function writeLatin1(text) {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

function writeUtf8(text) {
  return writeLatin1(unescape(encodeURIComponent(text.toWellFormed())));
}

function bytesOf(source) {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  return source instanceof ArrayBuffer ? new Uint8Array(source) : Uint8Array.from(source || []);
}

class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(text = "") {
    return writeUtf8(String(text));
  }
}

function readWideText(bytes) {
  let text = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) text += fromCodes(bytes[at] | (bytes[at + 1] << 8));
  return (bytes.length % 2 ? text + "\ufffd" : text).toWellFormed();
}

// The names of Latin-1 all mean windows-1252, whose 0x80 to 0x9f Node reads as Latin-1, too.
const LABELS = {
  __proto__: null,
  "utf-8": "utf-8", utf8: "utf-8", "unicode-1-1-utf-8": "utf-8",
  "utf-16le": "utf-16le", "utf-16": "utf-16le", "ucs-2": "utf-16le",
  ascii: "windows-1252", "us-ascii": "windows-1252", latin1: "windows-1252", "iso-8859-1": "windows-1252",
  "windows-1252": "windows-1252", cp1252: "windows-1252",
};
const READERS = { "utf-8": readUtf8, "utf-16le": readWideText, "windows-1252": readLatin1 };

class TextDecoder {
  constructor(label = "utf-8", options = {}) {
    this.encoding = LABELS[String(label).trim().toLowerCase()];
    this.fatal = Boolean(options.fatal);
    this.ignoreBOM = Boolean(options.ignoreBOM);
    if (!this.encoding) throw new RangeError("The encoding " + label + " is not known here; utf-8, utf-16le and latin1 are.");
  }
  decode(source) {
    const text = this.read(bytesOf(source));
    return this.ignoreBOM ? text : text.replace(/^\ufeff/, "");
  }
  read(bytes) {
    try {
      return this.fatal && this.encoding === "utf-8" ? readStrictUtf8(bytes) : READERS[this.encoding](bytes);
    } catch (error) {
      throw new TypeError("The encoded data was not valid for encoding " + this.encoding);
    }
  }
}
