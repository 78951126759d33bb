// Node's Buffer, as far as decoders use it: a Uint8Array with encodings and typed reads and writes.

function Buffer(source, encoding, length) {
  return typeof source === "number" ? Buffer.alloc(source) : Buffer.from(source, encoding, length);
}
Object.setPrototypeOf(Buffer, Uint8Array);
Object.setPrototypeOf(Buffer.prototype, Uint8Array.prototype);

function asBuffer(bytes) {
  return Object.setPrototypeOf(bytes, Buffer.prototype);
}

function concat(list, length) {
  const total = length === undefined ? list.reduce((sum, part) => sum + part.length, 0) : length;
  const joined = Buffer.alloc(total);
  let at = 0;
  for (const part of list) {
    joined.set(part.subarray(0, Math.max(0, total - at)), at);
    at = Math.min(total, at + part.length);
  }
  return joined;
}

function compare(left, right) {
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    if (left[at] !== right[at]) return left[at] < right[at] ? -1 : 1;
  }
  return Math.sign(left.length - right.length);
}

replace(Buffer, {
  from(source, encoding, length) {
    if (typeof source === "string") return asBuffer(encodingOf(encoding).read(source));
    if (source instanceof ArrayBuffer) return asBuffer(new Uint8Array(source, encoding, length));
    if (source && source.type === "Buffer" && Array.isArray(source.data)) return Buffer.from(source.data);
    if (source === null || typeof source !== "object") {
      throw new TypeError("The first argument must be a string, an array, a buffer or an ArrayBuffer");
    }
    return asBuffer(Uint8Array.from(source));
  },
  alloc(length, fill, encoding) {
    const made = asBuffer(new Uint8Array(length));
    return fill ? made.fill(fill, encoding) : made;
  },
  allocUnsafe: (length) => Buffer.alloc(length),
  allocUnsafeSlow: (length) => Buffer.alloc(length),
  of: (...bytes) => Buffer.from(bytes),
  isBuffer: (value) => value instanceof Buffer,
  isEncoding: (name) => typeof name === "string" && name.toLowerCase() in ENCODINGS,
  byteLength: (source, encoding) =>
    typeof source === "string" ? encodingOf(encoding).read(source).length : source.byteLength,
  concat,
  compare,
  poolSize: 8192,
});

function bytesToFill(value, encoding) {
  if (typeof value === "number") return [value & 0xff];
  return typeof value === "string" ? encodingOf(encoding).read(value) : value;
}

replace(Buffer.prototype, {
  constructor: Buffer,
  toString(encoding, start = 0, end = this.length) {
    return encodingOf(encoding).write(this.subarray(start, end));
  },
  toLocaleString(encoding, start, end) {
    return this.toString(encoding, start, end);
  },
  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  },
  subarray(start, end) {
    return asBuffer(new Uint8Array(this.buffer, this.byteOffset, this.length).subarray(start, end));
  },
  slice(start, end) {
    return this.subarray(start, end);
  },
  equals(other) {
    return compare(this, other) === 0;
  },
  compare(other) {
    return compare(this, other);
  },
  copy(target, targetStart = 0, start = 0, end = this.length) {
    const part = this.subarray(start, Math.min(end, start + Math.max(0, target.length - targetStart)));
    target.set(part, targetStart);
    return part.length;
  },
  fill(value, start, end, encoding) {
    if (typeof start === "string") [start, encoding] = [undefined, start];
    const pattern = bytesToFill(value, encoding);
    const part = this.subarray(start, end);
    for (let at = 0; at < part.length; at++) part[at] = pattern.length ? pattern[at % pattern.length] : 0;
    return this;
  },
  write(text, offset, length, encoding) {
    if (typeof offset === "string") [offset, encoding] = [0, offset];
    if (typeof length === "string") [length, encoding] = [undefined, length];
    const bytes = encodingOf(encoding).read(text).subarray(0, length);
    return asBuffer(bytes).copy(this, offset);
  },
  indexOf(value, from = 0, encoding) {
    const wanted = bytesToFill(value, encoding);
    for (let at = from < 0 ? Math.max(0, this.length + from) : from; at + wanted.length <= this.length; at++) {
      if (wanted.every((byte, index) => this[at + index] === byte)) return at;
    }
    return -1;
  },
  includes(value, from, encoding) {
    return this.indexOf(value, from, encoding) !== -1;
  },
});

function viewOf(buffer, offset, size) {
  if (!Number.isInteger(offset) || offset < 0 || offset + size > buffer.length) {
    const most = buffer.length - size;
    const error = new RangeError(
      most < 0
        ? "Attempt to access memory outside buffer bounds"
        : 'The value of "offset" is out of range. It must be >= 0 and <= ' + most + ". Received " + offset,
    );
    error.code = most < 0 ? "ERR_BUFFER_OUT_OF_BOUNDS" : "ERR_OUT_OF_RANGE";
    throw error;
  }
  return new DataView(buffer.buffer, buffer.byteOffset + offset, size);
}

function addNumber(name, size, kind, little) {
  const get = "get" + kind;
  const set = "set" + kind;
  const reader = function (offset = 0) {
    return viewOf(this, offset, size)[get](0, little);
  };
  const writer = function (value, offset = 0) {
    viewOf(this, offset, size)[set](0, value, little);
    return offset + size;
  };
  const alias = name.replace("UInt", "Uint");
  replace(Buffer.prototype, { ["read" + name]: reader, ["write" + name]: writer });
  replace(Buffer.prototype, { ["read" + alias]: reader, ["write" + alias]: writer });
}

addNumber("UInt8", 1, "Uint8", false);
addNumber("Int8", 1, "Int8", false);
for (const [order, little] of [["LE", true], ["BE", false]]) {
  addNumber("UInt16" + order, 2, "Uint16", little);
  addNumber("Int16" + order, 2, "Int16", little);
  addNumber("UInt32" + order, 4, "Uint32", little);
  addNumber("Int32" + order, 4, "Int32", little);
  addNumber("Float" + order, 4, "Float32", little);
  addNumber("Double" + order, 8, "Float64", little);
  addNumber("BigUInt64" + order, 8, "BigUint64", little);
  addNumber("BigInt64" + order, 8, "BigInt64", little);
}

function readWhole(buffer, offset, size, little) {
  viewOf(buffer, offset, size);
  let value = 0;
  for (let at = 0; at < size; at++) value = value * 256 + buffer[offset + (little ? size - 1 - at : at)];
  return value;
}

function writeWhole(buffer, value, offset, size, little) {
  viewOf(buffer, offset, size);
  for (let at = 0; at < size; at++) {
    buffer[offset + (little ? at : size - 1 - at)] = value & 0xff;
    value = Math.floor(value / 256);
  }
  return offset + size;
}

for (const [order, little] of [["LE", true], ["BE", false]]) {
  const unsigned = function (offset, size) {
    return readWhole(this, offset, size, little);
  };
  const signed = function (offset, size) {
    const value = readWhole(this, offset, size, little);
    return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
  };
  const writer = function (value, offset, size) {
    return writeWhole(this, value, offset, size, little);
  };
  replace(Buffer.prototype, {
    ["readUInt" + order]: unsigned, ["readUint" + order]: unsigned, ["readInt" + order]: signed,
    ["writeUInt" + order]: writer, ["writeUint" + order]: writer, ["writeInt" + order]: writer,
  });
}

function addSwap(size) {
  replace(Buffer.prototype, {
    ["swap" + size * 8]() {
      if (this.length % size) throw new RangeError("Buffer size must be a multiple of " + size * 8 + "-bits");
      for (let at = 0; at < this.length; at += size) this.subarray(at, at + size).reverse();
      return this;
    },
  });
}
[2, 4, 8].forEach(addSwap);
