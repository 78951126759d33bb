"""Golioth's firmware objects as ours. Source: its OpenAPI document."""

from __future__ import annotations

from shared.provider import Artifact, BegunRollout, Cohort, Deployment, Item, Object, Package

TEXT_LIMIT = 200


def read_begun(fields: Object) -> BegunRollout:
    """A deployment or a release, as what was begun."""
    item = Item(fields)
    return BegunRollout(item.text("deploymentId") or item.text("id") or "", item.time("createdAt"))


def read_artifact(fields: Object) -> Artifact:
    """An artifact."""
    item = Item(fields)
    return Artifact(
        item.text("id") or "",
        item.text("package", TEXT_LIMIT) or "",
        item.text("version", TEXT_LIMIT) or "",
        item.count("size"),
        item.time("createdAt"),
        item.text("blueprintId", TEXT_LIMIT),
    )


def read_cohort(fields: Object) -> Cohort:
    """A cohort."""
    item = Item(fields)
    return Cohort(
        item.text("cohortId") or "",
        item.text("name") or "",
        item.count("deviceCount") or 0,
        item.text("activeDeploymentId", TEXT_LIMIT),
    )


def read_package(fields: Object) -> Package:
    """A package."""
    item = Item(fields)
    metadata = {str(name): str(value) for name, value in item.item("metadata").fields.items()}
    return Package(item.text("packageId") or "", item.text("description") or "", metadata)


def read_deployment(fields: Object) -> Deployment:
    """A deployment."""
    item = Item(fields)
    return Deployment(
        item.text("deploymentId") or "",
        item.text("name") or "",
        item.texts("artifactIds"),
        item.time("createdAt"),
    )
