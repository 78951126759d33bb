// What the engine has no locales for: numbers and times as Node writes them where nobody asks for a language (en-US, UTC).

function groupDigits(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

function writeNumber(number, options) {
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number < 0 ? "-∞" : "∞";
  const least = options.minimumFractionDigits || 0;
  const most = options.maximumFractionDigits === undefined ? Math.max(3, least) : options.maximumFractionDigits;
  const [whole, fraction = ""] = Math.abs(number).toFixed(most).split(".");
  const kept = fraction.slice(0, least) + fraction.slice(least).replace(/0+$/, "");
  const grouped = options.useGrouping === false ? whole : groupDigits(whole);
  return (number < 0 || Object.is(number, -0) ? "-" : "") + grouped + (kept && "." + kept);
}

function writeDate(date) {
  return [date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCFullYear()].join("/");
}

function writeTime(date) {
  const two = (number) => String(number).padStart(2, "0");
  const hours = date.getUTCHours();
  const half = hours < 12 ? " AM" : " PM";
  return [hours % 12 || 12, two(date.getUTCMinutes()), two(date.getUTCSeconds())].join(":") + half;
}

function orInvalid(write) {
  return function () {
    return Number.isNaN(this.getTime()) ? "Invalid Date" : write(this);
  };
}

function replace(target, members) {
  for (const name of Object.keys(members)) {
    Object.defineProperty(target, name, { value: members[name], writable: true, configurable: true });
  }
}

replace(Number.prototype, {
  toLocaleString(_locales, options) {
    return writeNumber(Number(this), options || {});
  },
});
const { toString, toTimeString } = Date.prototype;
const ZONE = " (Coordinated Universal Time)";

replace(Date.prototype, {
  toString: orInvalid((date) => toString.call(date) + ZONE),
  toTimeString: orInvalid((date) => toTimeString.call(date) + ZONE),
  toLocaleString: orInvalid((date) => writeDate(date) + ", " + writeTime(date)),
  toLocaleDateString: orInvalid(writeDate),
  toLocaleTimeString: orInvalid(writeTime),
});
