/**
 * One source for three network servers: channel, type and value, again and again.
 */
function decodeUplink(input) { var decoded = readChannels(input.bytes); return { data: decoded }; }
function Decode(fPort, bytes) { return readChannels(bytes); }
function Decoder(bytes, port) { return readChannels(bytes); }

function readChannels(bytes) {
    var decoded = {};
    for (var i = 0; i < bytes.length; ) {
        var channel_id = bytes[i++];
        var channel_type = bytes[i++];
        if (channel_id === 0x01 && channel_type === 0x75) {
            decoded.battery = bytes[i];
            i += 1;
        } else if (channel_id === 0x03 && channel_type === 0x67) {
            decoded.temperature = readInt16LE(bytes.slice(i, i + 2)) / 10;
            i += 2;
        } else if (channel_id === 0x04 && channel_type === 0x68) {
            decoded.humidity = bytes[i] / 2;
            i += 1;
        } else if (channel_id === 0x05 && channel_type === 0x00) {
            decoded.magnet = bytes[i] === 0 ? "close" : "open";
            i += 1;
        } else if (channel_id === 0x20 && channel_type === 0xce) {
            var point = {};
            point.timestamp = readUInt32LE(bytes.slice(i, i + 4));
            point.temperature = readInt16LE(bytes.slice(i + 4, i + 6)) / 10;
            decoded.history = decoded.history || [];
            decoded.history.push(point);
            i += 6;
        } else {
            break;
        }
    }
    return decoded;
}

function readUInt16LE(bytes) { var value = (bytes[1] << 8) + bytes[0]; return value & 0xffff; }
function readInt16LE(bytes) { var ref = readUInt16LE(bytes); return ref > 0x7fff ? ref - 0x10000 : ref; }
function readUInt32LE(bytes) {
    var value = (bytes[3] << 24) + (bytes[2] << 16) + (bytes[1] << 8) + bytes[0];
    return (value & 0xffffffff) >>> 0;
}

function encodeDownlink(input) { return { bytes: writeSettings(input.data) }; }
function Encode(fPort, obj) { return writeSettings(obj); }
function Encoder(obj, port) { return writeSettings(obj); }

function writeSettings(payload) {
    var encoded = [];
    if ("report_interval" in payload) {
        if (typeof payload.report_interval !== "number") { throw new Error("report_interval must be a number"); }
        encoded = encoded.concat([0xff, 0x03, payload.report_interval & 0xff, (payload.report_interval >> 8) & 0xff]);
    }
    if ("reboot" in payload) { encoded = encoded.concat([0xff, 0x10, 0xff]); }
    return encoded;
}
