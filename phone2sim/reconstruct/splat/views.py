"""`TrainingView`: one frame at the resolutions training needs, in the normalised world of the optimiser."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, kw_only=True)
class DepthSamples:
    """Depths known at some pixels of a frame."""

    uv: np.ndarray
    """(m, 2) float, px of the full picture; pixel centres at +0.5."""
    depth: np.ndarray
    """(m,) along the camera's z axis, above 0."""
    confidence: np.ndarray
    """(m,) weight of each."""
    guessed: bool = False
    """It is not known that the picture saw these; the trainer drops those that disagree with what has formed."""


@dataclass(frozen=True, kw_only=True)
class LevelDepth:
    """Depths at one resolution: one per pixel at most."""

    pixels: np.ndarray
    """(m,) row-major index."""
    depth: np.ndarray
    """(m,) float32."""
    confidence: np.ndarray
    """(m,) float32."""
    guessed: bool = False

    def agreeing(self, depth: np.ndarray, *, within: float = 0.05) -> LevelDepth | None:
        """Those whose share of difference to a depth picture (h, w) is `within`; None when there are none."""
        on = np.abs(depth.ravel()[self.pixels] - self.depth) < within * self.depth
        if not on.any():
            return None
        return LevelDepth(pixels=self.pixels[on], depth=self.depth[on], confidence=self.confidence[on])


@dataclass(frozen=True, kw_only=True)
class Level:
    """A frame at one resolution."""

    target: np.ndarray
    """(3, h, w) uint8."""
    weight: np.ndarray | None
    """(h, w) float32 share of a pixel that counts, or None for all."""
    K: np.ndarray
    """(3, 3) float32 intrinsics [px]."""
    depth: LevelDepth | None = None
    """Known depths, or None."""

    @property
    def picture(self) -> np.ndarray:
        """(3, h, w) float32 in 0–1."""
        return np.multiply(self.target, np.float32(1 / 255), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class TrainingView:
    """A frame, its camera and its resolutions: full, half, quarter."""

    name: str
    T_camera_world: np.ndarray
    """(4, 4) float32, the world normalised."""
    levels: tuple[Level, ...]

    @property
    def guesses_depth(self) -> bool:
        return any(l.depth is not None and l.depth.guessed for l in self.levels)

    def with_depth(self, level: int, depth: LevelDepth | None) -> TrainingView:
        """The same with other known depths at a level."""
        levels = list(self.levels)
        levels[level] = replace(levels[level], depth=depth)
        return replace(self, levels=tuple(levels))


def make_view(
    name: str,
    image: np.ndarray,
    K: np.ndarray,
    T_camera_world: np.ndarray,
    mask: np.ndarray | None,
    depth: DepthSamples | None = None,
) -> TrainingView:
    """From a picture (h, w, 3) uint8, intrinsics [px], pose, a mask (h, w), true where the picture counts, and depths in
    the unit of the pose."""
    import cv2

    levels = []
    h, w = image.shape[:2]
    for factor in (1, 2, 4):
        lw, lh = max(8, round(w / factor)), max(8, round(h / factor))
        small = image if factor == 1 else cv2.resize(image, (lw, lh), interpolation=cv2.INTER_AREA)
        weight = None
        if mask is not None:
            weight = cv2.resize(np.asarray(mask, np.float32), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
        lh, lw = small.shape[:2]
        Kl = np.array(K, np.float64)
        Kl[0] *= lw / w
        Kl[1] *= lh / h
        levels.append(
            Level(
                target=np.ascontiguousarray(small.transpose(2, 0, 1)), weight=weight, K=Kl.astype(np.float32),
                depth=None if depth is None else _at_level(depth, lw, lh, w, h, weight),
            )
        )  # fmt: skip
    return TrainingView(name=name, T_camera_world=np.ascontiguousarray(T_camera_world, np.float32), levels=tuple(levels))


def _at_level(samples: DepthSamples, lw: int, lh: int, w: int, h: int, weight: np.ndarray | None) -> LevelDepth | None:
    """The nearest of the samples that fall into a pixel, where the mask lets it count."""
    x, y = np.floor(samples.uv[:, 0] * lw / w).astype(int), np.floor(samples.uv[:, 1] * lh / h).astype(int)
    ok = (x >= 0) & (x < lw) & (y >= 0) & (y < lh) & (samples.depth > 0)
    pixels, depth, confidence = (y * lw + x)[ok], samples.depth[ok], samples.confidence[ok]
    order = np.lexsort((depth, pixels))
    pixels, first = np.unique(pixels[order], return_index=True)
    depth, confidence = depth[order][first], confidence[order][first]
    if weight is not None:
        on = weight.ravel()[pixels] > 0.5
        pixels, depth, confidence = pixels[on], depth[on], confidence[on]
    if not len(pixels):
        return None
    return LevelDepth(pixels=pixels, depth=depth.astype(np.float32), confidence=confidence.astype(np.float32), guessed=samples.guessed)


def samples_of_points(
    points: np.ndarray, K: np.ndarray, T_camera_world: np.ndarray, width: int, height: int, *, near: float, cell: int | None = 12
) -> DepthSamples:
    """Points (p, 3) that a picture may have seen: no other within its `cell` [px] is more than 5% nearer. With `cell` None
    all of them: the caller knows that it saw them."""
    pc = points @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    z = pc[:, 2]
    uv = (pc @ K.T)[:, :2] / np.maximum(z, 1e-12)[:, None]
    ok = (z > near) & (uv >= 0).all(axis=1) & (uv[:, 0] < width) & (uv[:, 1] < height)
    uv, z = uv[ok], z[ok]
    if cell is None:
        return DepthSamples(uv=uv, depth=z, confidence=np.ones(len(z)))
    index = (uv[:, 1] // cell).astype(int) * (width // cell + 1) + (uv[:, 0] // cell).astype(int)
    nearest = np.full(int(index.max(initial=0)) + 1, np.inf)
    np.minimum.at(nearest, index, z)
    on = z < 1.05 * nearest[index]
    return DepthSamples(uv=uv[on], depth=z[on], confidence=np.ones(int(on.sum())), guessed=True)


def samples_of_depth(depth: np.ndarray, width: int, height: int) -> DepthSamples:
    """A depth picture (h', w') with the field of view of a `width` × `height` picture; 0 where nothing is known."""
    h, w = depth.shape
    y, x = np.nonzero((depth > 0) & np.isfinite(depth))
    uv = np.column_stack([(x + 0.5) * width / w, (y + 0.5) * height / h])
    return DepthSamples(uv=uv, depth=depth[y, x].astype(np.float64), confidence=np.ones(len(x)))
