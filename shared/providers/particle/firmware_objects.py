"""Particle's firmware objects as ours, and what it takes of ours."""

from __future__ import annotations

import uuid

from shared.provider import (
    MAIN_PACKAGE,
    Artifact,
    BadRequest,
    Cohort,
    FieldError,
    Item,
    OtaEvent,
    ProtocolFailed,
)

HIGHEST_VERSION = 65_535


def read_artifact(item: Item) -> Artifact:
    """A version of the product's firmware."""
    version = item.count("version")
    if version is None:
        raise ProtocolFailed("Particle answered with firmware that has no version.")
    size = item.count("size")
    return Artifact(str(version), MAIN_PACKAGE, str(version), size, item.time("uploaded_on"))


def read_cohort(item: Item) -> Cohort:
    """A group of the product."""
    name = item.text("name")
    if not name:
        raise ProtocolFailed("Particle answered with a group that has no name.")
    return Cohort(name, name, item.count("device_count") or 0, read_released(item))


def read_released(item: Item) -> str | None:
    """The version that a group was given."""
    version = item.count("fw_version")
    return None if version is None else str(version)


def read_update(device: str, item: Item) -> OtaEvent:
    """A device that runs another version waits; when it shook hands last tells from when on it runs this one."""
    running, wanted = item.count("firmware_version"), item.count("desired_firmware_version")
    return OtaEvent(
        device,
        MAIN_PACKAGE,
        "pending",
        item.time("last_handshake_at"),
        None if running is None else str(running),
        None if wanted is None else str(wanted),
    )


def require_version(text: str, field: str) -> str:
    """`text` where it is a version as Particle counts them; BadRequest names the field."""
    if text.isascii() and text.isdecimal() and int(text) <= HIGHEST_VERSION and text == str(int(text)):
        return text
    words = f"Particle's versions are whole numbers up to {HIGHEST_VERSION}."
    raise BadRequest(words, errors=[FieldError(field, words)])


def require_main(package: str) -> None:
    """BadRequest for any other package."""
    if package != MAIN_PACKAGE:
        words = f"A product of Particle's has one package, {MAIN_PACKAGE}."
        raise BadRequest(words, errors=[FieldError("package", words)])


def require_one(artifact_ids: list[str]) -> str:
    """The only one; BadRequest where there are more."""
    if len(artifact_ids) == 1:
        return artifact_ids[0]
    words = "A device of Particle's runs one version: send one artifact."
    raise BadRequest(words, errors=[FieldError("artifact_ids", words)])


def write_parts(fields: dict[str, str], name: str, content: bytes) -> tuple[str, bytes]:
    """The media type and body of a form with a file (RFC 7578).

    The boundary is in no image but by a chance that never comes.
    """
    boundary = uuid.uuid4().hex
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n'
        for field, text in fields.items()
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="binary"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = b"".join(((head + file).encode(), content, f"\r\n--{boundary}--\r\n".encode()))
    return f"multipart/form-data; boundary={boundary}", body
