// Node's names for encodings, each with how text is read into bytes and written from them.

function readHex(text) {
  const digits = /^(?:[0-9a-f]{2})*/i.exec(text)[0];
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) => parseInt(digits.substr(at * 2, 2), 16));
}

function readBase64(text) {
  const plain = text.replace(/-/g, "+").replace(/_/g, "/").replace(/=.*$/s, "").replace(/[^A-Za-z0-9+/]/g, "");
  return writeLatin1(atob(plain.length % 4 === 1 ? plain.slice(0, -1) : plain));
}

function readUtf16(text) {
  const bytes = new Uint8Array(text.length * 2);
  for (let at = 0; at < text.length; at++) {
    bytes[at * 2] = text.charCodeAt(at);
    bytes[at * 2 + 1] = text.charCodeAt(at) >> 8;
  }
  return bytes;
}

function toHex(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at++) text += (bytes[at] < 16 ? "0" : "") + bytes[at].toString(16);
  return text;
}

function toUtf16(bytes) {
  let text = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(bytes[at] | (bytes[at + 1] << 8));
  return text;
}

const toBase64 = (bytes) => btoa(readLatin1(bytes));
const toBase64Url = (bytes) => toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const toAscii = (bytes) => readLatin1(Uint8Array.from(bytes, (byte) => byte & 0x7f));

const UTF16 = { read: readUtf16, write: toUtf16 };
const LATIN1 = { read: writeLatin1, write: readLatin1 };
const UTF8 = { read: writeUtf8, write: readUtf8 };
const ENCODINGS = {
  __proto__: null,
  utf8: UTF8, "utf-8": UTF8, hex: { read: readHex, write: toHex },
  base64: { read: readBase64, write: toBase64 }, base64url: { read: readBase64, write: toBase64Url },
  latin1: LATIN1, binary: LATIN1, ascii: { read: writeLatin1, write: toAscii },
  utf16le: UTF16, "utf-16le": UTF16, ucs2: UTF16, "ucs-2": UTF16,
};

function encodingOf(name) {
  const encoding = ENCODINGS[String(name || "utf8").toLowerCase()];
  if (!encoding) throw new TypeError("Unknown encoding: " + name);
  return encoding;
}
