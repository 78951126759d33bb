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

function readUtf8(bytes) {
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

function readLatin1(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at++) text += String.fromCharCode(bytes[at]);
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

class TextDecoder {
  constructor(encoding = "utf-8") {
    this.encoding = String(encoding).toLowerCase().replace(/^utf8$/, "utf-8");
    if (!["utf-8", "ascii", "us-ascii", "latin1", "iso-8859-1"].includes(this.encoding)) {
      throw new RangeError("The encoding " + encoding + " is not known here; utf-8 and latin1 are.");
    }
  }
  decode(source) {
    const bytes = bytesOf(source);
    return this.encoding === "utf-8" ? readUtf8(bytes).replace(/^\ufeff/, "") : readLatin1(bytes);
  }
}
