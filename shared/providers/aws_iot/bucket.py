"""Images in a bucket of S3, as `<folder>/<package>/<version>`. Source: S3's REST API, whose answers are XML."""

from __future__ import annotations

import html
import re
from typing import Any

from shared.provider import Artifact, Item, NewArtifact, Package, ProviderRefused, read_moment
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import LONGEST_TOKEN, AwsApi
from shared.providers.aws_iot.xml_text import find_text

PAGE_SIZE = 100
PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
"""A package, or a version: it is a level of an object's name, and a part of an artifact's id."""

_CONTENTS = re.compile(r"<Contents>(.*?)</Contents>", re.DOTALL)
_PREFIXES = re.compile(r"<CommonPrefixes>\s*<Prefix>([^<]*)</Prefix>")


class BucketApi(AwsApi):
    """Calls to S3: what is answered is read into what `read_page` makes of it."""

    def read_body(self, body: bytes) -> Any:
        """A page of a listing; nothing of other answers is needed."""
        return read_page(body.decode(errors="replace"))

    def read_words(self, document: object) -> str:
        """S3's name for the error, and its words."""
        told = Item(document)
        return ": ".join(filter(None, (told.text("code"), told.text("message"))))

    def read_error(self, body: bytes) -> Any:
        """An error of S3's, whose body is XML too."""
        text = body.decode(errors="replace")
        return {"code": find_text(text, "Code"), "message": find_text(text, "Message")}


class Bucket:
    """The images of one folder of a bucket."""

    def __init__(self, api: AwsApi, bucket: str, folder: str) -> None:
        self._api, self._bucket, self._folder = api, bucket, folder

    def list_images(self, after: str | None, below: str = "") -> tuple[list[Artifact], str | None]:
        """A page of the images, those below a package or of one version alone where that is given."""
        page = self._list(after, prefix=f"{self._folder}/{below}")
        artifacts = (self._read(each) for each in page.items("contents"))
        return [each for each in artifacts if each], page.text("next", LONGEST_TOKEN)

    def list_packages(self, after: str | None) -> tuple[list[Package], str | None]:
        """A page of the packages that there are images of."""
        page = self._list(after, prefix=f"{self._folder}/", delimiter="/")
        names = [each.split("/")[1] for each in page.texts("prefixes")]
        return [Package(name, "", {}) for name in names], page.text("next", LONGEST_TOKEN)

    def find(self, artifact_id: str) -> Artifact | None:
        """The image of that id."""
        package, _, version = artifact_id.partition(":")
        found, _ = self.list_images(None, f"{package}/{version}")
        return next((each for each in found if each.id == artifact_id), None)

    def put(self, new: NewArtifact) -> None:
        """Store an image; the same once more does no harm."""
        self._api.run("s3:PutObject", *self._name(new.package, new.version), body=new.content)

    def delete(self, artifact: Artifact) -> None:
        """Delete an image; devices that are about to get it will not."""
        self._api.run("s3:DeleteObject", *self._name(artifact.package, artifact.version))

    def locate(self, account: Account, artifact: Artifact) -> str:
        """The address of an image."""
        return "/".join((account.locate("s3"), *self._name(artifact.package, artifact.version)))

    def _name(self, package: str, version: str) -> tuple[str, str, str, str]:
        return self._bucket, self._folder, package, version

    def _list(self, after: str | None, **query: str) -> Item:
        asked = {"list-type": 2, "max-keys": PAGE_SIZE, "continuation-token": after, **query}
        return Item(self._api.run("s3:ListBucket", self._bucket, query=asked))

    def _read(self, contents: Item) -> Artifact | None:
        """None for what is no image of ours."""
        _, *parts = (contents.text("key", LONGEST_TOKEN) or "").split("/")
        if len(parts) != len(("package", "version")) or not all(PART.fullmatch(each) for each in parts):
            return None
        package, version = parts
        return Artifact(
            f"{package}:{version}", package, version, contents.count("size"), contents.text("modified")
        )


def read_page(text: str) -> dict[str, Any]:
    """A listing: `contents` with `key`, `size` and `modified`, `prefixes`, and what the `next` page is asked for by."""
    return {
        "contents": [_read_contents(each) for each in _CONTENTS.findall(text)],
        "prefixes": [html.unescape(each) for each in _PREFIXES.findall(text)],
        "next": find_text(text, "NextContinuationToken"),
    }


def _read_contents(text: str) -> dict[str, str]:
    modified = read_moment(find_text(text, "LastModified"))
    return {
        "key": find_text(text, "Key"),
        "size": find_text(text, "Size"),
        "modified": modified.isoformat() if modified else "",
    }


def explain_missing(artifact_id: str) -> ProviderRefused:
    """That there is no such image."""
    return ProviderRefused(f"There is no image {artifact_id} in the bucket.", answered=404)
