// No envelope around what was decoded, whatever it is.
function decodeUplink(input) {
  switch (input.fPort) {
    case 1: return { decoded: { t: input.bytes[0] }, ok: true };
    case 2: return [{ field: 'T', value: input.bytes[0] }];
    case 3: return input.bytes[0] + 0.5;
    case 4: return 'text';
    case 5: return [];
    case 6: return false;
    case 7: return { data: { t: 1 }, warnings: null, errors: [] };
    case 8: return { data: { t: 1 }, errors: '' , warnings: false };
    case 9: return { data: [1, { a: -0 }], more: 'left out' };
  }
}
