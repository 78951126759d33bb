"""The `Prefer` header: what the client would like, and which of it was applied."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.local.rest.errors import RestError

KNOWN = {
    "return": {"representation", "minimal", "headers-only"},
    "count": {"exact", "planned", "estimated"},
    "resolution": {"merge-duplicates", "ignore-duplicates"},
    "missing": {"default", "null"},
    "handling": {"strict", "lenient"},
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences that are known, by their names."""

    known: dict[str, str]

    @property
    def returns(self) -> str:
        """`representation`, `minimal` or `headers-only`."""
        return self.known.get("return", "minimal")

    @property
    def counts(self) -> bool:
        """Whether the total is wanted; planned and estimated counts are answered exactly."""
        return "count" in self.known

    @property
    def resolution(self) -> str | None:
        """What to do with rows that are already there."""
        return self.known.get("resolution")

    @property
    def missing_default(self) -> bool:
        """Whether columns missing from a row get their default instead of null."""
        return self.known.get("missing") == "default"

    @property
    def max_affected(self) -> int | None:
        """The most rows that may be changed; holds only with handling=strict, as in PostgREST."""
        given = self.known.get("max-affected")
        return int(given) if given is not None and self.known.get("handling") == "strict" else None

    def applied(self, *names: str) -> str:
        """The value of Preference-Applied for a request to which these preferences apply."""
        return ", ".join(f"{name}={self.known[name]}" for name in names if name in self.known)


def parse_prefer(headers: list[str]) -> Preferences:
    """Reads the headers; the first of several values counts. Unknown ones are refused with handling=strict only."""
    known: dict[str, str] = {}
    unknown = []
    for preference in (part.strip() for header in headers for part in header.split(",")):
        name, _, value = preference.partition("=")
        if value in KNOWN.get(name, ()) or (name == "max-affected" and value.isdecimal()):
            known.setdefault(name, value)
        elif preference:
            unknown.append(preference)
    if unknown and known.get("handling") == "strict":
        raise RestError(
            400,
            "PGRST122",
            "Invalid preferences given with handling=strict",
            details=f"Invalid preferences: {', '.join(unknown)}",
        )
    return Preferences(known)
