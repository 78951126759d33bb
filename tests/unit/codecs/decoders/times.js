// Times: unix seconds, ages, texts. Whatever runs this is in UTC.
function decodeUplink(input) {
  var seconds = (input.bytes[0] << 24 | input.bytes[1] << 16 | input.bytes[2] << 8 | input.bytes[3]) >>> 0;
  var at = new Date(seconds * 1000);
  var received = new Date(input.recvTime);
  return { data: {
    iso: at.toISOString(), utc: at.toUTCString(), json: at, year: at.getFullYear(), month: at.getUTCMonth() + 1, hours: at.getHours(),
    offset: at.getTimezoneOffset(), text: at.toString(), date: at.toDateString(), time: at.toTimeString(), parsed: Date.parse('2024-02-29T12:00:00Z'), local: new Date(2024, 1, 29, 12).getTime(),
    utcOf: Date.UTC(2020, 0, 1), age: new Date(received.getTime() - 60000).toISOString(), given: input.recvTime.toISOString(),
    sloppy: new Date('2024-03-01 10:20:30').toISOString(), shown: at.toLocaleDateString(), clock: at.toLocaleTimeString(), both: at.toLocaleString(), number: (1234567.891).toLocaleString(), cents: (2.5).toLocaleString(undefined, { minimumFractionDigits: 2 }), invalid: String(new Date(NaN)), nothing: new Date(NaN), later: new Date(at.setDate(at.getDate() + 31)).toISOString()
  } };
}
