// What goes wrong within a decoder.
function decodeUplink(input) {
  switch (input.fPort) {
    case 1: throw new Error('bad checksum');
    case 2: throw 'plain text';
    case 3: return input.nothing.at;
    case 4: return null.x;
    case 5: return undefinedFunction();
    case 6: throw { code: 5 };
    case 7: return { errors: ['first', 'second'] };
    case 8: return { data: { x: 1 }, errors: ['with data'] };
    case 9: throw undefined;
    case 10: JSON.parse('{'); break;
    case 11: return new Array(-1);
    case 12: (function recurse() { recurse(); })(); break;
    case 13: return { data: (function () { try { throw 1; } catch (e) { return e; } finally { } })() };
    case 14: const fixed = 1; fixed = 2; break;
    case 15: throw new TypeError();
  }
}
