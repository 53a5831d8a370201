"""What a lens, a shutter and a codec do to pictures: distortion, motion blur, rolling shutter, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.augment.spec import CameraSpec, SensorSpec
from phone2sim.errors import ShapeError

MOMENTS = 5
"""Pictures that a moving exposure is made of."""


@dataclass(frozen=True, kw_only=True)
class Lens:
    """A camera with distortion, drawn as a somewhat larger pinhole picture and then bent."""

    pinhole: CameraSpec
    """What is drawn."""
    x: np.ndarray
    """(h, w) float32 column of the pinhole picture [px, 0 is the first pixel's centre] that each pixel shows."""
    y: np.ndarray
    """(h, w) float32 row."""

    @classmethod
    def of(cls, camera: CameraSpec) -> Lens | None:
        """None for a camera without distortion."""
        if not any(camera.distortion):
            return None
        K, d = np.array(camera.K), np.array(camera.distortion, float)
        y, x = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
        ray = undistorted(np.stack([(x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]], axis=-1), d)
        if not np.abs(distorted(ray, d) * [K[0, 0], K[1, 1]] + K[:2, 2] - np.stack([x, y], -1)).max() < 0.05:
            raise ShapeError(f"Camera {camera.name}: distortion {camera.distortion} folds the picture over itself.")
        seen = ray * [K[0, 0], K[1, 1]] + K[:2, 2]
        low, high = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
        left, top = np.maximum(0, np.ceil(1 - low)).astype(int)
        right, bottom = np.maximum(0, np.ceil(high + 1 - [camera.width, camera.height])).astype(int)
        K[:2, 2] += left, top
        pinhole = camera.model_copy(
            update={
                "K": tuple(map(tuple, K.tolist())), "width": int(camera.width + left + right),
                "height": int(camera.height + top + bottom), "distortion": (),
            }
        )  # fmt: skip
        return cls(pinhole=pinhole, x=(seen[..., 0] + left - 0.5).astype(np.float32), y=(seen[..., 1] + top - 0.5).astype(np.float32))

    def bend(self, picture: np.ndarray) -> np.ndarray:
        """A pinhole picture (float, any channels), bilinear."""
        import cv2

        return cv2.remap(picture, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Values of the pinhole picture (h', w', …), nearest: for what must not be mixed."""
        h, w = values.shape[:2]
        return values[np.clip(np.rint(self.y).astype(int), 0, h - 1), np.clip(np.rint(self.x).astype(int), 0, w - 1)]


def distorted(ray: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Points (…, 2) at unit depth bent by k1 k2 p1 p2 (k3) (Brown 1966, as in OpenCV)."""
    k1, k2, p1, p2, k3 = np.pad(coefficients, (0, 5 - len(coefficients)))
    x, y = ray[..., 0], ray[..., 1]
    r = x * x + y * y
    radial = 1 + r * (k1 + r * (k2 + r * k3))
    return np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r + 2 * x * x), y * radial + p1 * (r + 2 * y * y) + 2 * p2 * x * y], axis=-1
    )


def undistorted(bent: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """The inverse of `distorted`, by fixed point."""
    if not coefficients.any():
        return bent
    ray = bent.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(60):
            ray += bent - distorted(ray, coefficients)
    return ray


def exposes(sensor: SensorSpec) -> bool:
    """Whether a picture takes time."""
    return sensor.shutter_s > 0 or sensor.readout_s > 0


def moments(sensor: SensorSpec) -> np.ndarray:
    """(m,) times before the picture's own at which the exposure is drawn [s], oldest first; the last row ends at 0."""
    return np.linspace(sensor.shutter_s + sensor.readout_s, 0.0, MOMENTS)


def row_weights(sensor: SensorSpec, height: int) -> np.ndarray:
    """(height, m) share of each moment in each row; rows sum to 1. A row is open for `shutter_s`; what lies between two
    moments is their mixture."""
    ago = moments(sensor)
    end = sensor.readout_s * (1 - (np.arange(height) + 0.5) / height)
    inside = end[:, None] + sensor.shutter_s * (np.arange(8) + 0.5) / 8
    step = ago[0] / (MOMENTS - 1)
    place = np.clip((ago[0] - inside) / step, 0, MOMENTS - 1)
    hat = np.clip(1 - np.abs(place[..., None] - np.arange(MOMENTS)), 0, 1)
    return hat.mean(axis=1)


def exposed(pictures: list[np.ndarray], sensor: SensorSpec) -> np.ndarray:
    """(h, w, 3) float32 linear from one picture a moment."""
    w = row_weights(sensor, len(pictures[0])).astype(np.float32)
    return sum(w[:, k, None, None] * p for k, p in enumerate(pictures))  # type: ignore[return-value]


def compressed(rgb: np.ndarray, quality: int) -> np.ndarray:
    """(h, w, 3) uint8 after a JPEG of that quality; 0 leaves it."""
    if quality <= 0:
        return rgb
    import cv2

    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    back: np.ndarray = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return np.ascontiguousarray(back[..., ::-1])
