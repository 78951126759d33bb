;(function (root, factory) {
  if (typeof define === 'function' && define.amd) {
    define([], factory);
  } else if (typeof module === 'object' && module.exports) {
    module.exports = factory();
  } else {
    root.codec = factory();
  }
}(typeof self !== 'undefined' ? self : this, function () {
  'use strict';
  function decodeUplink(input) {
    return { data: { sum: input.bytes.reduce(function (total, byte) { return total + byte; }, 0) } };
  }
  return { decodeUplink: decodeUplink };
}));
