// As it was written for Node.
const { Buffer } = require('buffer');

function decodeUplink(input) {
  const buffer = Buffer.from(input.bytes);
  const text = Buffer.from('4f4b', 'hex').toString();
  return {
    data: {
      hex: buffer.toString('hex'),
      base64: buffer.toString('base64'),
      temperature: buffer.readInt16BE(0) / 100,
      pressure: buffer.readUInt32LE(2),
      float: +buffer.readFloatBE(6).toFixed(3),
      triple: buffer.readUIntBE(0, 3),
      signed: buffer.readIntLE(0, 3),
      part: buffer.slice(2, 4).toString('hex'),
      text: text + buffer.subarray(10).toString('ascii'),
      is: Buffer.isBuffer(buffer),
      joined: Buffer.concat([buffer.slice(0, 1), Buffer.from([255])]),
      compared: Buffer.compare(Buffer.from('a'), Buffer.from('b')),
      length: Buffer.byteLength('grün'),
    },
  };
}

function encodeDownlink(input) {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt8(input.data.command, 0);
  buffer.writeInt16LE(input.data.value, 1);
  return { bytes: [...buffer], fPort: 7 };
}
