"""The values of Sparkplug B by their data type: signed numbers ride in unsigned fields, arrays in bytes."""

from __future__ import annotations

import struct
from typing import Any

from shared.codecs.sandbox.format import shorten_float
from shared.codecs.sandbox.program import CodecError

DATA_TYPES = (
    "Unknown",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float",
    "Double",
    "Boolean",
    "String",
    "DateTime",
    "Text",
    "UUID",
    "DataSet",
    "Bytes",
    "File",
    "Template",
    "PropertySet",
    "PropertySetList",
    "Int8Array",
    "Int16Array",
    "Int32Array",
    "Int64Array",
    "UInt8Array",
    "UInt16Array",
    "UInt32Array",
    "UInt64Array",
    "FloatArray",
    "DoubleArray",
    "BooleanArray",
    "StringArray",
    "DateTimeArray",
)
"""Their names by number."""

SIGNED_BITS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
_ITEMS = {
    "Int8Array": "b",
    "Int16Array": "h",
    "Int32Array": "i",
    "Int64Array": "q",
    "UInt8Array": "B",
    "UInt16Array": "H",
    "UInt32Array": "I",
    "UInt64Array": "Q",
    "FloatArray": "f",
    "DoubleArray": "d",
    "DateTimeArray": "Q",
}
_FIELDS = (
    "int",
    "long",
    "float",
    "double",
    "boolean",
    "string",
    "bytes",
    "dataset",
    "template",
    "propertyset",
    "propertysets",
)
_COMPOSITES = ("dataset_value", "template_value", "propertyset_value", "propertysets_value")
_COUNT_BYTES = 4


def name_type(number: int) -> str:
    """The data type's name; `Unknown` where there is none."""
    return DATA_TYPES[number] if number < len(DATA_TYPES) else DATA_TYPES[0]


def read_value(holder: Any, data_type: str) -> Any:
    """The value in a metric, property, parameter or element of a data set; None where it has none."""
    field = next((f"{name}_value" for name in _FIELDS if _has(holder, f"{name}_value")), None)
    if field is None:
        return None
    value = getattr(holder, field)
    if field in _COMPOSITES:
        return _read_composite(field, value)
    if field == "bytes_value":
        return _read_array(value, data_type)
    return shorten_float(value) if field == "float_value" else _read_sign(value, data_type)


def write_value(metric: Any, value: Any, data_type: str) -> None:
    """Put a value into a metric. Errors: CodecError."""
    metric.datatype = DATA_TYPES.index(data_type)
    if value is None:
        metric.is_null = True
        return
    bits = SIGNED_BITS.get(data_type)
    try:
        setattr(metric, _find_field(data_type), value % 2 ** max(bits, 32) if bits else value)
    except (TypeError, ValueError) as error:
        raise CodecError(f"{metric.name[:100]!r} is no {data_type}: {error}.") from None


def guess_type(value: Any) -> str:
    """The data type for a value that comes without one."""
    kinds = ((bool, "Boolean"), (int, "Int64"), (float, "Double"), (str, "String"), (type(None), "Unknown"))
    for kind, name in kinds:
        if isinstance(value, kind):
            return name
    raise CodecError("A metric is a number, text, true, false or null.")


def read_properties(properties: Any) -> dict[str, Any]:
    """The properties of a metric, by their names."""
    pairs = zip(properties.keys, properties.values, strict=False)
    return {key: read_value(value, name_type(value.type)) for key, value in pairs}


def _has(holder: Any, field: str) -> bool:
    return field in holder.DESCRIPTOR.fields_by_name and holder.HasField(field)


def _read_sign(value: Any, data_type: str) -> Any:
    bits = SIGNED_BITS.get(data_type)
    if bits is None or isinstance(value, bool | str | float):
        return value
    value %= 2**bits
    return value - 2**bits if value >= 2 ** (bits - 1) else value


def _read_array(content: bytes, data_type: str) -> Any:
    if data_type == "StringArray":
        return [text.decode(errors="replace") for text in content.split(b"\0")[:-1]]
    if data_type == "BooleanArray":
        count = int.from_bytes(content[:_COUNT_BYTES], "little")
        bits = "".join(f"{byte:08b}" for byte in content[_COUNT_BYTES:])
        return [bit == "1" for bit in bits[:count]]
    item = _ITEMS.get(data_type)
    if item is None:
        return content
    whole = len(content) - len(content) % struct.calcsize(f"<{item}")
    values = [value for (value,) in struct.iter_unpack(f"<{item}", content[:whole])]
    return [shorten_float(value) for value in values] if item == "f" else values


def _read_composite(field: str, value: Any) -> Any:
    if field == "dataset_value":
        return _read_data_set(value)
    if field == "template_value":
        return _read_template(value)
    return (
        read_properties(value)
        if field == "propertyset_value"
        else [read_properties(one) for one in value.propertyset]
    )


def _read_data_set(data: Any) -> dict[str, Any]:
    types = [name_type(number) for number in data.types]
    rows = [
        [read_value(one, kind) for one, kind in zip(row.elements, types, strict=False)] for row in data.rows
    ]
    return {"columns": list(data.columns), "types": types, "rows": rows}


def _read_template(template: Any) -> dict[str, Any]:
    read = {metric.name: read_value(metric, name_type(metric.datatype)) for metric in template.metrics}
    parameters = {one.name: read_value(one, name_type(one.type)) for one in template.parameters}
    told = {"template": template.template_ref, "version": template.version, "parameters": parameters}
    return {**read, **{name: value for name, value in told.items() if value}}


def _find_field(data_type: str) -> str:
    fields = {
        "Float": "float",
        "Double": "double",
        "Boolean": "boolean",
        "Int64": "long",
        "UInt64": "long",
        "DateTime": "long",
    }
    texts = dict.fromkeys(("String", "Text", "UUID"), "string")
    whole = dict.fromkeys(("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"), "int")
    field = {**fields, **texts, **whole}.get(data_type)
    if field is None:
        raise CodecError(f"Metrics of type {data_type} can't be written.")
    return f"{field}_value"
