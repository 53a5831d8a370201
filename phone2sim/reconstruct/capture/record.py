"""`Capture`: the upright frames of one capture on disk, and `capture.json` that describes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from phone2sim.config import read_json, write_json
from phone2sim.errors import CaptureError


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One upright picture of a capture."""

    file: str
    """Name below `frames/`."""
    source: str
    """The original file name, or `clip.mp4@1.234s`."""
    time_s: float | None
    """Presentation time in the clip [s]; None for a photo."""
    width: int
    height: int
    sharpness: float
    """Variance of the Laplacian of the grey picture at 640 px, as grey levels squared."""
    focal_px: float | None
    """Focal length from EXIF [px]; None when it holds none."""
    group: int
    """Frames of one group share a lens and a zoom setting."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Frames in capture order. `folder` holds `frames/` and `capture.json`."""

    folder: Path
    kind: str
    """`clip` or `photos`."""
    source: str
    frames: tuple[Frame, ...]
    refused: tuple[dict[str, str], ...] = ()
    """Files of the source that could not be used: `{file, why}`."""
    advice: tuple[str, ...] = ()
    """What to do better next time, one sentence each."""

    @property
    def pictures(self) -> Path:
        return self.folder / "frames"

    def save(self) -> None:
        write_json(
            self.folder / "capture.json",
            {
                "kind": self.kind, "source": self.source, "advice": list(self.advice), "refused": list(self.refused),
                "frames": [asdict(f) for f in self.frames],
            },
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Capture:
        data = read_json(folder / "capture.json")
        try:
            return cls(
                folder=folder, kind=data["kind"], source=data["source"],
                frames=tuple(Frame(**f) for f in data["frames"]),
                refused=tuple(data["refused"]), advice=tuple(data["advice"]),
            )  # fmt: skip
        except (KeyError, TypeError) as e:
            raise CaptureError(f"{folder / 'capture.json'} is not a capture record: {e}.") from None
