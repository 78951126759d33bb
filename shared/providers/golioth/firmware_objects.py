"""Golioth's firmware objects as ours. Source: its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.provider import Artifact, Begun, Cohort, Deployment, Package
from shared.providers.golioth.firmware_reports import clean_text, read_time

LONGEST_COUNT = 18
"""Digits: more does not fit into JSON's 64 bits, or is refused by Python."""


def read_begun(item: Mapping[str, Any]) -> Begun:
    """A deployment or a release, as what was begun."""
    return Begun(str(item.get("deploymentId") or item.get("id") or ""), read_time(item.get("createdAt")))


def read_artifact(item: Mapping[str, Any]) -> Artifact:
    """An artifact."""
    return Artifact(
        str(item.get("id") or ""),
        clean_text(item.get("package")) or "",
        clean_text(item.get("version")) or "",
        _read_count(item.get("size")),
        read_time(item.get("createdAt")),
        clean_text(item.get("blueprintId")),
    )


def read_cohort(item: Mapping[str, Any]) -> Cohort:
    """A cohort."""
    return Cohort(
        str(item.get("cohortId") or ""),
        str(item.get("name") or ""),
        _read_count(item.get("deviceCount")) or 0,
        clean_text(item.get("activeDeploymentId")),
    )


def read_package(item: Mapping[str, Any]) -> Package:
    """A package."""
    metadata = item.get("metadata")
    named = {str(name): str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {}
    return Package(str(item.get("packageId") or ""), str(item.get("description") or ""), named)


def read_deployment(item: Mapping[str, Any]) -> Deployment:
    """A deployment."""
    return Deployment(
        str(item.get("deploymentId") or ""),
        str(item.get("name") or ""),
        read_texts(item.get("artifactIds")),
        read_time(item.get("createdAt")),
    )


def read_texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; none where it is no list."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _read_count(value: Any) -> int | None:
    """A number, which Golioth writes as text where it may be large."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_COUNT else None
