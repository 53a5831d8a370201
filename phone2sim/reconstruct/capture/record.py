"""`Capture`: the upright frames of one capture on disk, and `capture.json` that describes them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
    T_world_camera: tuple[tuple[float, ...], ...] | None = None
    """(4, 4) camera-to-world in the device's own world, OpenCV axes; None when the device told no pose."""
    lens: tuple[float, float, float, float] | None = None
    """fx fy cx cy [px] of this stored picture as the device calibrated them; pixel centre at +0.5."""
    distortion: tuple[float, float, float, float] | None = None
    """k1 k2 p1 p2 (OpenCV) that go with `lens`."""
    depth: str | None = None
    """Name below `depth/` of a float32 `.npy` (h', w'): distance along the camera's z axis [m if `Device.metric`], 0
    where the device measured none or did not trust it. Same field of view as the picture, any resolution."""
    mask: str | None = None
    """Name below `masks/` of a grey PNG of the picture's size: 255 counts, 0 does not."""
    up_camera: tuple[float, float, float] | None = None
    """Unit vector against gravity in camera axes, from an IMU."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the app or phone that took the capture knows beyond its pictures."""

    app: str
    """`nerfstudio`, `colmap`, `record3d`, `polycam`, `stray`, `realitycapture` or `file` (depth inside a photo)."""
    metric: bool
    """Poses and depth are in metres, as AR frameworks give them."""
    up_world: tuple[float, float, float] | None = None
    """Unit vector against gravity in the device's world; None when it is not known."""
    points: str | None = None
    """Name in the capture folder of a `.ply` of coloured points in the device's world."""


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Frames in capture order. `folder` holds `frames/` and `capture.json`."""

    folder: Path
    kind: str
    """`clip` (ordered in time), `photos` or `photo` (a single one)."""
    source: str
    frames: tuple[Frame, ...]
    refused: tuple[dict[str, str], ...] = ()
    """Files of the source that could not be used: `{file, why}`."""
    advice: tuple[str, ...] = ()
    """What to do better next time, one sentence each."""
    device: Device | None = None
    """None for plain photos and clips."""

    @property
    def pictures(self) -> Path:
        return self.folder / "frames"

    def depth(self, frame: Frame) -> np.ndarray | None:
        """(h', w') float32 depth of a frame, see `Frame.depth`; None when it has none."""
        return None if frame.depth is None else np.load(self.folder / "depth" / frame.depth)

    def save(self) -> None:
        write_json(
            self.folder / "capture.json",
            {
                "kind": self.kind, "source": self.source, "advice": list(self.advice), "refused": list(self.refused),
                "device": None if self.device is None else asdict(self.device),
                "frames": [{k: v for k, v in asdict(f).items() if v is not None or k in _ALWAYS} for f in self.frames],
            },
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Capture:
        data = read_json(folder / "capture.json")
        try:
            device = data.get("device")
            return cls(
                folder=folder, kind=data["kind"], source=data["source"],
                frames=tuple(Frame(**{k: _frozen(v) for k, v in f.items()}) for f in data["frames"]),
                refused=tuple(data["refused"]), advice=tuple(data["advice"]),
                device=None if device is None else Device(**{k: _frozen(v) for k, v in device.items()}),
            )  # fmt: skip
        except (KeyError, TypeError) as e:
            raise CaptureError(f"{folder / 'capture.json'} is not a capture record: {e}.") from None


_ALWAYS = ("time_s", "focal_px")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
