"""What is heard of a rollout, as `record_firmware` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.provider import DeviceFirmware, Heard, OtaEvent, judge_state


@dataclass(frozen=True, slots=True)
class Report:
    """One thing a device or the platform has said: `event` of a step of the history, `listed` of where a device is."""

    device: str
    package: str
    to_version: str
    from_version: str | None
    state: Heard | None
    message: str | None
    at: str
    ours: bool
    """Whether it is about the rollout that is followed."""
    event: str | None = None
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Hearing:
    """Who listens: `wanted` is the version of each package, from `started` on."""

    wanted: Mapping[str, str]
    started: datetime

    def report_event(self, event: OtaEvent) -> Report | None:
        """A step of the history; None for what speaks of no version at all."""
        version = self.wanted.get(event.package)
        ours = version is not None and (
            event.target_version in (None, version) or event.current_version == version
        )
        to_version = version if ours else event.target_version
        if not to_version:
            return None
        at = event.at or self.started.isoformat()
        return replace(_make_report(event, to_version, at), ours=ours, event=event.event_type)

    def report_device(self, device: DeviceFirmware) -> list[Report]:
        """What a device says of itself, for each package; idle where that is of another time or update."""
        return [
            self._report_package(
                device.packages.get(package) or OtaEvent(device.device, package, "idle"), version
            )
            for package, version in self.wanted.items()
        ]

    def _report_package(self, said: OtaEvent, version: str) -> Report:
        at = datetime.fromisoformat(said.at) if said.at else self.started
        report = replace(
            _make_report(said, version, max(at, self.started).isoformat()), ours=True, listed=True
        )
        elsewhere = said.target_version not in (None, version) or at < self.started
        if report.state != "updated" and elsewhere:
            return replace(report, state="idle", message=None)
        return report


def _make_report(event: OtaEvent, to_version: str, at: str) -> Report:
    return Report(
        device=event.device,
        package=event.package,
        to_version=to_version,
        from_version=event.current_version,
        state=judge_state(event, to_version),
        message=event.message,
        at=at,
        ours=False,
    )
