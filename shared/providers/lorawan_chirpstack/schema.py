"""The messages of ChirpStack's DeviceService as protobuf classes, made from a table of their fields.

Source: its api/proto/api/device.proto. What the table does not know stays with a message that is read and written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from shared.provider import make_message_classes

PACKAGE = "api"

# As `make_message_classes` reads it. A map is a list of entries.
TABLE = {
    "Entry": "key:1:STRING value:2:STRING",
    "Device": "dev_eui:1:STRING name:2:STRING description:3:STRING application_id:4:STRING device_profile_id:5:STRING"
    " skip_fcnt_check:6:BOOL is_disabled:7:BOOL variables:8:*Entry tags:9:*Entry join_eui:10:STRING",
    "DeviceKeys": "dev_eui:1:STRING nwk_key:2:STRING app_key:3:STRING",
    "DeviceListItem": "dev_eui:1:STRING created_at:2:Timestamp updated_at:3:Timestamp last_seen_at:4:Timestamp"
    " name:5:STRING description:6:STRING device_profile_id:7:STRING device_profile_name:8:STRING tags:10:*Entry",
    "QueueItem": "id:1:STRING dev_eui:2:STRING confirmed:3:BOOL f_port:4:UINT32 data:5:BYTES object:6:Struct"
    " is_pending:7:BOOL f_cnt_down:8:UINT32 expires_at:10:Timestamp",
    "OfDevice": "dev_eui:1:STRING",
    "WithDevice": "device:1:Device",
    "WithKeys": "device_keys:1:DeviceKeys",
    "EnqueueRequest": "queue_item:1:QueueItem flush_queue:2:BOOL",
    "EnqueueReply": "id:1:STRING",
    "QueueReply": "total_count:1:UINT32 result:2:*QueueItem",
    "ListRequest": "limit:1:UINT32 offset:2:UINT32 application_id:4:STRING order_by:6:INT32",
    "ListReply": "total_count:1:UINT32 result:2:*DeviceListItem",
    "GetReply": "device:1:Device created_at:2:Timestamp updated_at:3:Timestamp last_seen_at:4:Timestamp",
    "Empty": "",
}

CALLS = {
    "List": ("ListRequest", "ListReply"),
    "Get": ("OfDevice", "GetReply"),
    "Create": ("WithDevice", "Empty"),
    "Update": ("WithDevice", "Empty"),
    "Delete": ("OfDevice", "Empty"),
    "CreateKeys": ("WithKeys", "Empty"),
    "UpdateKeys": ("WithKeys", "Empty"),
    "Enqueue": ("EnqueueRequest", "EnqueueReply"),
    "GetQueue": ("OfDevice", "QueueReply"),
    "FlushQueue": ("OfDevice", "Empty"),
}
"""By the name of the call: what it takes, and what it answers."""


MESSAGES = make_message_classes(PACKAGE, TABLE)
"""The classes by their name in the table."""


def make_message(name: str, fields: Mapping[str, Any]) -> Any:
    """A message that can be written and read; ValueError where a value is none of its field's, or nested too deeply."""
    try:
        return MESSAGES[name].FromString(MESSAGES[name](**fields).SerializeToString())
    except (ValueError, TypeError, OverflowError, RecursionError, DecodeError, EncodeError):
        raise ValueError(f"no {name}") from None


def read_message(name: str, body: bytes) -> Any:
    """The message of that name; ValueError where the bytes are none."""
    try:
        return MESSAGES[name].FromString(body)
    except DecodeError:
        raise ValueError(f"no {name}") from None
