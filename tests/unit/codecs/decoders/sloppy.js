// Variables that nobody declared, octal numbers, `with`, arguments, a function that is used before it stands.
function Decoder(bytes, port) {
  result = {};
  for (i = 0; i < bytes.length; i++) {
    value = bytes[i];
    result['byte' + i] = twice(value);
  }
  result.octal = 017;
  result.called = count.apply(null, bytes);
  with (result) { octal = octal + 1; }
  result.self = this === undefined ? 'strict' : typeof this;
  if (typeof later === 'undefined') later = 1;
  result.hoisted = typeof hoisted;
  var hoisted = 1;
  outer: for (var a = 0; a < 3; a++) { for (var b = 0; b < 3; b++) { if (b == 1) continue outer; if (a == 2) break outer; result['loop'] = a * 10 + b; } }
  do { port--; } while (port > 0)
  result.port = port;
  return result;
  function twice(n) { return n * 2; }
}
function count() { return arguments.length; }
