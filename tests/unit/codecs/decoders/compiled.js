"use strict";
// As TypeScript and bundlers write it: helpers with `this`, exports with getters, inheritance by hand.
var __assign = (this && this.__assign) || function () {
    __assign = Object.assign || function (t) {
        for (var s, i = 1, n = arguments.length; i < n; i++) { s = arguments[i]; for (var p in s) if (Object.prototype.hasOwnProperty.call(s, p)) t[p] = s[p]; }
        return t;
    };
    return __assign.apply(this, arguments);
};
var __extends = (this && this.__extends) || (function () {
    var extendStatics = function (d, b) { extendStatics = Object.setPrototypeOf || function (d, b) { d.__proto__ = b; }; return extendStatics(d, b); };
    return function (d, b) { extendStatics(d, b); function __() { this.constructor = d; } d.prototype = (__.prototype = b.prototype, new __()); };
})();
Object.defineProperty(exports, "__esModule", { value: true });
exports.decodeUplink = void 0;
var Field = /** @class */ (function () {
    function Field(name) { this.name = name; }
    Field.prototype.read = function (bytes) { var _a; return _a = {}, _a[this.name] = this.value(bytes), _a; };
    Field.prototype.value = function (bytes) { return bytes[0]; };
    Field.prototype.toString = function () { return "field " + this.name; };
    return Field;
}());
var Half = /** @class */ (function (_super) {
    __extends(Half, _super);
    function Half() { var _this = _super !== null && _super.apply(this, arguments) || this; _this.by = 2; return _this; }
    Half.prototype.value = function (bytes) { return bytes[1] / this.by; };
    return Half;
}(Field));
var Problem = /** @class */ (function (_super) {
    __extends(Problem, _super);
    function Problem(message) { var _this = _super.call(this, message) || this; Object.setPrototypeOf(_this, Problem.prototype); _this.name = "Problem"; _this.message = message + "!"; return _this; }
    return Problem;
}(Error));
function decodeUplink(_a) {
    var bytes = _a.bytes, _b = _a.fPort, fPort = _b === void 0 ? 1 : _b;
    var fields = [new Field("plain"), new Half("half")];
    try { if (bytes.length === 0) throw new Problem("empty"); }
    catch (e) { return { data: { name: e.name, message: e.message, is: e instanceof Problem && e instanceof Error, text: String(e) } }; }
    return { data: fields.reduce(function (all, field) { return __assign(__assign({}, all), field.read(bytes)); }, { port: fPort, label: "" + fields[1] }) };
}
exports.decodeUplink = decodeUplink;
