"""Files for browsers: read and compressed once, at the start, and found by their names alone.

Nothing is opened for a request, so no path leads out. Under `v/<version>/` files never change: the version is the hash
of them all. Whoever asks for another version, as a page does that was open during an update, gets what there is now,
uncached. Imports as little as it can: a console without users costs nothing, so it has cold starts.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import flask

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".ts": "text/plain; charset=utf-8",
}
PACKED = frozenset({".tgz"})
"""What is compressed already."""

FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"

_VERSIONED = re.compile(r"v/([0-9A-Za-z]{1,64})/(.+)")
# Lines of documentation alone, an eighth of what a module weighs. Left empty, so that the others keep their numbers.
_DOCUMENTATION = re.compile(rb"^ */\*\*(?:(?!\*/).)*\*/$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, the same compressed where that is less, its media type and its ETag."""

    body: bytes
    packed: bytes | None
    media_type: str
    tag: str


@dataclass(frozen=True, slots=True)
class Site:
    """The files of one folder by their paths, and the version of them all."""

    files: dict[str, File]
    version: str

    def find(self, path: str) -> tuple[File | None, str]:
        """The file at a path below the site's own, and how long it may be kept."""
        if (versioned := _VERSIONED.fullmatch(path)) is None:
            return self.files.get(path), ASK_AGAIN
        version, name = versioned.groups()
        return self.files.get(name), FOR_EVER if version == self.version else ASK_AGAIN


def read_site(folder: Path, package: str) -> Site:
    """The site in `folder`, with its subfolder `package` as `<package>.tgz` too, as npm installs it."""
    bodies = {name: (folder / name).read_bytes() for name in sorted(_list_names(folder))}
    digest = hashlib.sha256()
    for name, body in bodies.items():
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(body), body))
    bodies[f"{package}.tgz"] = _pack_package(bodies, f"{package}/")
    return Site({name: make_file(name, body) for name, body in bodies.items()}, digest.hexdigest()[:16])


def make_file(name: str, body: bytes) -> File:
    """One file as it is served: a module without the lines that only document it."""
    suffix = Path(name).suffix
    if suffix == ".js":
        body = _DOCUMENTATION.sub(b"", body)
    packed = None if suffix in PACKED else gzip.compress(body, mtime=0)
    smaller = packed if packed and len(packed) < len(body) else None
    return File(body, smaller, TYPES[suffix], hashlib.sha256(body).hexdigest()[:16])


def send_file(request: flask.Request, file: File, keep: str, headers: Mapping[str, str]) -> flask.Response:
    """The file, or 304 for those who have it."""
    packed = file.packed if request.accept_encodings["gzip"] > 0 else None
    response = flask.Response(packed or file.body, content_type=file.media_type, headers=dict(headers))
    response.headers["Cache-Control"] = keep
    response.headers["Vary"] = "Accept-Encoding"
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    # One for each form of the body, or a cache would give the one for the other.
    response.set_etag(f"{file.tag}-gzip" if packed else file.tag)
    response.make_conditional(request)
    return response


def refuse(status: HTTPStatus, detail: str, headers: Mapping[str, str]) -> flask.Response:
    """A problem document, as all functions answer them."""
    code = status.name.lower()
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
    }
    return flask.Response(
        json.dumps(document), status, dict(headers), content_type="application/problem+json"
    )


def _list_names(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix in TYPES and not file.name.startswith("."):
            yield file.relative_to(folder).as_posix()


def _pack_package(bodies: Mapping[str, bytes], prefix: str) -> bytes:
    """npm's form of a package. Of the same files always the same bytes, so that a lock file's hash holds."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in bodies.items():
            if name.startswith(prefix):
                entry = tarfile.TarInfo(f"package/{name.removeprefix(prefix)}")
                entry.size, entry.mode = len(body), 0o644
                archive.addfile(entry, io.BytesIO(body))
    return gzip.compress(packed.getvalue(), mtime=0)
