// What the language brings along is made unchangeable once the source has run, so that one message can't poison the
// next. The source itself may extend it while it loads, as some do with String.prototype.

const ERRORS = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError, InternalError];
const SHADOWABLE = [Object.prototype, ...ERRORS.map((kind) => kind.prototype)];
const EXTENDED = [Array, String, Number, Date, Function, Uint8Array, Buffer];
const EXTENSIBLE = [Math, ...EXTENDED, ...EXTENDED.map((kind) => kind.prototype)];

// Names that are members of lists and functions too, and that decoders give to what they keep in one.
const SHADOWED = [
  "constructor", "toString", "valueOf", "values", "keys", "entries", "at", "find", "fill", "flat", "with",
  "filter", "join", "reverse", "shift", "some", "every",
];

// Those that no global name leads to: of typed arrays, iterators, generators.
function listUnnamed() {
  const iterators = [[], "", new Map(), new Set()].map((list) => Reflect.getPrototypeOf(list[Symbol.iterator]()));
  const generators = [function* () {}, async function () {}, async function* () {}].map(Reflect.getPrototypeOf);
  const typedArray = Reflect.getPrototypeOf(Uint8Array);
  return [typedArray, typedArray.prototype, ...iterators, ...generators, ...generators.map((kind) => kind.prototype)];
}

function collectIntrinsics() {
  const named = Reflect.ownKeys(globalThis).map((name) => globalThis[name]);
  const kinds = [...named, ...listUnnamed()].filter((value) => Object(value) === value && value !== globalThis);
  const prototypes = kinds.map((kind) => kind.prototype).filter((value) => Object(value) === value);
  const left = new Set([...SHADOWABLE, ...EXTENSIBLE]);
  return [...kinds, ...prototypes].filter((value) => !left.has(value));
}

// A plain property that can't be written could not be shadowed either: `error.name = "Mine"` has to go on working.
function makeShadowable(owner, name, value) {
  return {
    get: () => value,
    set(own) {
      if (this === owner) return;
      Object.defineProperty(this, name, { value: own, writable: true, enumerable: true, configurable: true });
    },
    configurable: false,
  };
}

function lockProperties(object, names) {
  for (const name of Reflect.ownKeys(object)) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (!property.configurable) continue;
    const lock = "value" in property ? { writable: false, configurable: false } : { configurable: false };
    const shadowable = "value" in property && names.includes(name);
    Object.defineProperty(object, name, shadowable ? makeShadowable(object, name, property.value) : lock);
  }
}

function lockGlobals(originals) {
  for (const [name, value] of originals) {
    const property = Object.getOwnPropertyDescriptor(globalThis, name);
    if (property && property.configurable && property.value === value) {
      Object.defineProperty(globalThis, name, { writable: false, configurable: false });
    }
  }
}

const isText = (name) => typeof name === "string";

function lockIntrinsics(intrinsics, originals) {
  intrinsics.forEach(Object.freeze);
  SHADOWABLE.forEach((object) => lockProperties(object, Reflect.ownKeys(object).filter(isText)));
  Object.preventExtensions(Object.prototype);
  EXTENSIBLE.forEach((object) => lockProperties(object, SHADOWED));
  lockGlobals([...originals, ["module", globalThis.module], ["exports", globalThis.exports]]);
}

// Additions stay possible, since a decoder may make them when it is called; only Object.prototype, which reaches
// everything, takes none. Those that reach every list are noticed: whatever a loop over an empty one meets, another
// prototype.
const { apply, getPrototypeOf, defineProperty, deleteProperty } = Reflect;
const { keys } = Object;
const objectPrototype = Object.prototype;
const arrayPrototype = Array.prototype;
const pristine = { met: 0, names: [] };

function countMet() {
  let met = 0;
  for (const _ in []) met++;
  return met;
}

function rememberShared() {
  pristine.met = countMet();
  pristine.names = keys(globalThis);
}

// Variables that nobody declared are gone with the call that made them.
function forgetGlobals() {
  const names = keys(globalThis);
  if (names.length === pristine.names.length) return;
  for (const name of names) if (!pristine.names.includes(name)) deleteProperty(globalThis, name);
}

function defineOwn(object, name, value) {
  defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

function isSpoilt() {
  forgetGlobals();
  return countMet() !== pristine.met || getPrototypeOf(arrayPrototype) !== objectPrototype;
}
