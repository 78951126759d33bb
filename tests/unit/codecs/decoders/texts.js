// Text in bytes: characters, hex, base64, JSON, escapes, regular expressions, templates.
function hex(bytes) { return bytes.map(function (b) { return ('0' + (b & 0xff).toString(16)).slice(-2); }).join(''); }
function decodeUplink(input) {
  var text = String.fromCharCode.apply(null, input.bytes);
  var plain = decodeURIComponent(escape(text));
  var match = /(\w+)=(-?\d+(?:\.\d+)?)/g, found = {}, one;
  while ((one = match.exec(text)) !== null) { found[one[1]] = Number(one[2]); }
  return { data: {
    text: text, plain: plain, hex: hex(input.bytes), pairs: hex(input.bytes).match(/.{1,2}/g), found: found,
    base64: btoa(text), back: atob('T0s='), upper: plain.toUpperCase(), padded: '7'.padStart(3, '0'), repeated: 'ab'.repeat(2),
    split: plain.split(/[=;]/), trimmed: '  x '.trim(), replaced: text.replace(/\d/g, '#'), all: 'a-b-c'.replaceAll('-', '+'), code: 'é'.charCodeAt(0), point: '😀'.codePointAt(0), emoji: '😀'.length,
    template: `${1 + 1} ${[1, 2]}`, sub: plain.substr(-2), index: text.indexOf('='), starts: text.startsWith('t'), named: 'k=v'.replace(/(?<key>\w)=(?<value>\w)/, '$<value>=$<key>'),
    json: JSON.parse('{"a":[1,2,{"b":null}]}'), written: JSON.stringify({ a: 1, b: [undefined, null, NaN] }, null, 1), escaped: escape('ä ö'), encoded: encodeURIComponent('ä/ö'), bits: parseInt(hex(input.bytes.slice(0, 2)), 16).toString(2).padStart(16, '0'),
    decoded: new TextDecoder().decode(new Uint8Array(input.bytes)), octets: Array.from(new TextEncoder().encode('grün')), compared: 'a'.localeCompare('b')
  } };
}
