"""What the coach says: findings with their frames, and the report they make together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from phone2sim.reconstruct.coach.coverage import Coverage

Severity = Literal["cannot work", "bad", "advice"]
SEVERITIES: tuple[Severity, ...] = ("cannot work", "bad", "advice")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing wrong with a capture, or to do better."""

    id: str
    severity: Severity
    label: str
    """Two or three words, for a thumbnail."""
    seen: str
    """One sentence: what was seen, with its number."""
    do: str
    """One sentence: what to do."""
    frames: tuple[int, ...] = ()
    """Which frames; empty when it concerns all of them."""


@dataclass(frozen=True, kw_only=True)
class FrameFacts:
    """What was measured on one frame."""

    name: str
    """Original file name, or the frame and its time in the clip."""
    detail: float | None
    """Sharpness: about 1 and more in focus, below 0.65 blurred; None where nothing shows it."""
    burnt: float
    black: float
    """Parts of the picture without highlights, without shadows."""
    features: int
    """SIFT features found."""
    shared: int
    """Most verified matches with any other frame."""


@dataclass(frozen=True, kw_only=True)
class CoachReport:
    """Everything the coach found; `findings` worst first."""

    source: str
    kind: str
    frames: tuple[FrameFacts, ...]
    findings: tuple[Finding, ...]
    good: tuple[str, ...]
    """What is fine, in a few words each."""
    coverage: Coverage | None

    @property
    def works(self) -> bool:
        """False when reconstruction cannot work."""
        return all(f.severity != "cannot work" for f in self.findings)

    @property
    def reason(self) -> Finding | None:
        """The finding that refuses, if any."""
        return next((f for f in self.findings if f.severity == "cannot work"), None)

    def marks(self) -> dict[int, Finding]:
        """Frame → the worst finding about it in particular."""
        out: dict[int, Finding] = {}
        for f in self.findings:
            for i in f.frames:
                out.setdefault(i, f)
        return out

    def to_json(self) -> dict[str, Any]:
        c = self.coverage
        return {
            "source": self.source,
            "kind": self.kind,
            "works": self.works,
            "findings": [{**asdict(f), "frames": [self.frames[i].name for i in f.frames]} for f in self.findings],
            "good": list(self.good),
            "coverage": None if c is None else {
                "guess": c.guess, "orbit_deg": round(c.orbit_deg), "widest_gap_deg": round(c.gap_deg),
                "heights_deg": [round(h) for h in c.heights_deg],
            },
            "frames": [asdict(f) for f in self.frames],
        }  # fmt: skip


def listed(names: list[str], most: int = 6) -> str:
    """`a, b, c and 4 more`."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
