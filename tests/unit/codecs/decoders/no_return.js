// Falls off its end where it has nothing to say.
function decodeUplink(input) {
  if (input.fPort === 1) return { data: { on: true } };
  if (input.fPort === 2) return;
  if (input.fPort === 3) return null;
  if (input.fPort === 4) return { data: null };
  if (input.fPort === 5) return { data: undefined, warnings: ['nothing here'] };
}
