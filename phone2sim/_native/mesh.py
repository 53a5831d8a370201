"""Textured triangle meshes to pictures on the CPU: visibility, soft shadows, contact darkening, compositing, sensor.

`MeshWorld` packs parts once; every picture poses them anew. Equal inputs give equal bytes on any processor at any
number of threads. Cameras follow OpenCV (pixel centre at +0.5), colour is linear RGB unless it says sRGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from phone2sim._native import load
from phone2sim.errors import ShapeError


class LightLike(Protocol):
    """One directional key and second-order irradiance SH, as in `assets.scene.Light`."""

    @property
    def direction(self) -> np.ndarray: ...
    @property
    def key_rgb(self) -> np.ndarray: ...
    @property
    def ambient_sh(self) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class MeshLight:
    """A light: unit `direction` (3,) it travels along, `key_rgb` (3,), `ambient_sh` (9, 3); linear, white albedo = 1."""

    direction: np.ndarray
    key_rgb: np.ndarray
    ambient_sh: np.ndarray


@dataclass(frozen=True, kw_only=True)
class MeshPart:
    """One rigid part in its own frame [m]."""

    vertices: np.ndarray
    """(v, 3)."""
    faces: np.ndarray
    """(f, 3), counter-clockwise from outside."""
    normals: np.ndarray
    """(v, 3) unit."""
    uv: np.ndarray | None = None
    """(v, 2), origin at the bottom left of the picture."""
    texture: np.ndarray | None = None
    """(h, w, 3) uint8 sRGB albedo."""
    rgb: tuple[float, float, float] = (0.7, 0.7, 0.7)
    """Linear albedo where there is no texture."""
    gloss: float = 0.0
    """Strength of the highlight: 0 matte, about 0.3 satin plastic."""
    double_sided: bool = True
    """Draw faces seen from behind (needed for open shells; closed ones draw faster without)."""


def checked_array(a: Any, dtype: Any, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    out = np.ascontiguousarray(a, dtype=dtype)
    if len(out.shape) != len(shape) or any(want is not None and want != got for want, got in zip(shape, out.shape)):
        raise ShapeError(f"{what}: expected {tuple('n' if s is None else s for s in shape)}, got {out.shape}.")
    return out


class MeshWorld:
    """Parts packed for drawing. `len(world)` parts, in the order given."""

    def __init__(self, parts: Sequence[MeshPart]) -> None:
        self._world = load("mesh").World()
        self.n_faces = 0
        self.radii_m = np.zeros(len(parts))
        """Largest distance of a part's vertices from its origin [m]."""
        for i, p in enumerate(parts):
            v = checked_array(p.vertices, np.float32, (None, 3), f"MeshPart {i} vertices")
            f = checked_array(p.faces, np.int32, (None, 3), f"MeshPart {i} faces")
            n = checked_array(p.normals, np.float32, (len(v), 3), f"MeshPart {i} normals")
            if len(f) and (f.min() < 0 or f.max() >= len(v)):
                raise ShapeError(f"MeshPart {i} faces: a face names vertex {f.max()} of {len(v)}.")
            uv = texture = None
            if p.uv is not None and p.texture is not None:
                uv = checked_array(p.uv, np.float32, (len(v), 2), f"MeshPart {i} uv")
                texture = checked_array(p.texture, np.uint8, (None, None, 3), f"MeshPart {i} texture")
            rgb = checked_array(p.rgb, np.float32, (3,), f"MeshPart {i} rgb")
            self._world.add_part(v, f, n, uv, texture, rgb, float(p.gloss), bool(p.double_sided))
            self.n_faces += len(f)
            self.radii_m[i] = float(np.linalg.norm(v, axis=1).max(initial=0.0))

    def __len__(self) -> int:
        return len(self.radii_m)


@dataclass(frozen=True, kw_only=True)
class MeshImage:
    """What one camera sees of the parts."""

    rgb: np.ndarray
    """(h, w, 3) float32 linear, premultiplied by `coverage`."""
    coverage: np.ndarray
    """(h, w) float32, share of the pixel covered, 0–1."""
    depth: np.ndarray
    """(h, w) float32 camera z [m] of the part that owns the pixel; inf where none."""
    part: np.ndarray
    """(h, w) int32 index of the part covering most of the pixel, -1 for none."""
    normal: np.ndarray
    """(h, w, 3) float32 world normal, 0 where none."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What each pixel shows."""

    depth: np.ndarray
    """(h, w) float32 camera z [m]; inf where nothing is."""
    part: np.ndarray
    """(h, w) int32 index of the part that covers most of the pixel, -1 for the background."""
    normal: np.ndarray
    """(h, w, 3) float32 world normal, 0 where unknown."""


@dataclass(frozen=True)
class ShadowMap:
    """The key light's view of the casters; shared by every camera of a frame."""

    native: Any
    texel_m: float

    def shadow_at(self, points: np.ndarray, *, bias_m: float | None = None) -> np.ndarray:
        """Share (n,) 0–1 of the key light that reaches world points (n, 3) [m]."""
        p = checked_array(points, np.float32, (None, 3), "shadow_at points")
        out = np.empty(len(p), np.float32)
        self.native.visibility(p, 1.5 * self.texel_m if bias_m is None else bias_m, out)
        return out


@dataclass(frozen=True)
class ContactMap:
    """Ambient light lost close to where things stand on a horizontal support."""

    native: Any

    def factor_at(self, points: np.ndarray) -> np.ndarray:
        """Share (n,) 0–1 of the light left at upward-facing world points (n, 3) [m]."""
        p = checked_array(points, np.float32, (None, 3), "factor_at points")
        out = np.empty(len(p), np.float32)
        self.native.factor(p, out)
        return out


def part_poses(world: MeshWorld, T_world_part: np.ndarray) -> np.ndarray:
    """(n, 4, 4) float64, one pose for each part; `ShapeError` otherwise."""
    return checked_array(T_world_part, np.float64, (len(world), 4, 4), "T_world_part")


def _mask(world: MeshWorld, mask: np.ndarray | None) -> np.ndarray:
    if mask is None:
        return np.ones(len(world), np.uint8)
    return checked_array(np.asarray(mask, bool), np.uint8, (len(world),), "part mask")


def light_axes(direction: np.ndarray) -> np.ndarray:
    """(3, 3) rows u, v and the unit direction: the axes of a shadow map."""
    d = np.asarray(direction, float)
    d = d / np.linalg.norm(d)
    u = np.array([-d[2], 0.0, d[0]] if abs(d[1]) < 0.9 else [0.0, d[2], -d[1]])  # d × y, or d × x
    u /= np.linalg.norm(u)
    v = [d[1] * u[2] - d[2] * u[1], d[2] * u[0] - d[0] * u[2], d[0] * u[1] - d[1] * u[0]]
    return np.stack([u, np.array(v), d])


def shadow_map(
    world: MeshWorld, T_world_part: np.ndarray, *, direction: np.ndarray, center: np.ndarray, radius_m: float,
    resolution: int = 1024, softness: float = 0.06, casts: np.ndarray | None = None, threads: int = 0,
) -> ShadowMap:  # fmt: skip
    """Orthographic depth along `direction` of the parts that cast, over a square of ±`radius_m` around `center` [m].

    `softness` is the tangent of the light's half angle (Fernando 2005). Points outside the square are lit.
    """
    axes = light_axes(direction)
    c = checked_array(center, np.float64, (3,), "shadow_map center")
    native = load("mesh").shadow_map(
        world._world, part_poses(world, T_world_part), _mask(world, casts), axes, c, 2 * radius_m, resolution, softness, threads
    )
    return ShadowMap(native, 2 * radius_m / resolution)


def contact_map(
    world: MeshWorld, T_world_part: np.ndarray, *, low: tuple[float, float], high: tuple[float, float], height_m: float,
    cell_m: float = 0.004, near_m: float = 0.008, wide_m: float = 0.03, strength: float = 0.9,
    casts: np.ndarray | None = None, threads: int = 0,
) -> ContactMap:  # fmt: skip
    """Blurred cover of the support at `height_m` over the rectangle `low`–`high` (x, y) [m], weighted by closeness."""
    w, h = (max(4, int(np.ceil((b - a) / cell_m))) for a, b in zip(low, high))
    native = load("mesh").contact_map(
        world._world, part_poses(world, T_world_part), _mask(world, casts), low[0], low[1], cell_m, w, h, height_m,
        near_m, wide_m, 0.5 * strength, 0.5 * strength, threads,
    )  # fmt: skip
    return ContactMap(native)


def render(
    world: MeshWorld, T_world_part: np.ndarray, *, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int,
    light: LightLike, shadow_map: ShadowMap | None = None, contact_map: ContactMap | None = None,
    more: tuple[ShadowMap | None, ContactMap | None] = (None, None), supersample: int = 1, visible: np.ndarray | None = None,
    rgb_gain: np.ndarray | None = None, behind_depth: np.ndarray | None = None, near_m: float = 0.01, step: float = 0.0,
    threads: int = 0,
) -> MeshImage:  # fmt: skip
    """Draw the parts at `T_world_part` (n, 4, 4) as a pinhole camera `K` (3, 3) [px] at `T_world_camera` (4, 4) sees them.

    `behind_depth` (h, w) [m] hides what lies farther than it (inf: nothing there). `rgb_gain` (n, 3) multiplies the
    albedo, `supersample` 1–3 is the grid of samples a pixel. `more` are a second shadow and contact map: light comes past
    both. Pixels of a surface between others whose share of the key light differs by less than `step` are given what lies between. `threads` 0
    takes all cores.
    """
    image = MeshImage(
        rgb=np.empty((height, width, 3), np.float32), coverage=np.empty((height, width), np.float32),
        depth=np.empty((height, width), np.float32), part=np.empty((height, width), np.int32),
        normal=np.empty((height, width, 3), np.float32),
    )  # fmt: skip
    load("mesh").render(
        **_drawing(
            world, T_world_part, K, T_world_camera, light, shadow_map, contact_map, more, supersample=supersample, visible=visible,
            rgb_gain=rgb_gain,
        ),
        width=width, height=height, near_m=near_m,
        behind=None if behind_depth is None else checked_array(behind_depth, np.float32, (height, width), "render behind_depth"),
        step=float(step), threads=threads, rgb=image.rgb, coverage=image.coverage, depth=image.depth, part=image.part, normal=image.normal,
    )  # fmt: skip
    return image


def _drawing(
    world: MeshWorld, T_world_part: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray, light: LightLike,
    shadow_map: ShadowMap | None, contact_map: ContactMap | None, more: tuple[ShadowMap | None, ContactMap | None], *,
    supersample: int, visible: np.ndarray | None, rgb_gain: np.ndarray | None,
) -> dict[str, Any]:  # fmt: skip
    """What `render` and `draw_over` give to the rasteriser alike."""
    if supersample not in (1, 2, 3):
        raise ShapeError(f"render supersample: expected 1, 2 or 3, got {supersample}.")
    gain = np.ones((len(world), 3)) if rgb_gain is None else rgb_gain
    direction = np.asarray(light.direction, float)
    return {
        "world": world._world, "poses": part_poses(world, T_world_part), "supersample": supersample, "visible": _mask(world, visible),
        "K": checked_array(K, np.float64, (3, 3), "render K"),
        "T_world_camera": checked_array(T_world_camera, np.float64, (4, 4), "render T_world_camera"),
        "gain": checked_array(gain, np.float32, (len(world), 3), "render rgb_gain"),
        "direction": checked_array(direction / np.linalg.norm(direction), np.float32, (3,), "light direction"),
        "key": checked_array(light.key_rgb, np.float32, (3,), "light key_rgb"),
        "sh": checked_array(light.ambient_sh, np.float32, (9, 3), "light ambient_sh"),
        "shadow": shadow_map.native if shadow_map else None, "contact": contact_map.native if contact_map else None,
        "shadow2": more[0].native if more[0] else None, "contact2": more[1].native if more[1] else None,
    }  # fmt: skip


class Backdrop:
    """A linear picture behind meshes, and how far away it is."""

    def __init__(self, native: Any, depth: np.ndarray) -> None:
        self.native = native
        self.depth = depth
        """(h, w) float32 camera z [m]; inf where nothing is."""

    @classmethod
    def still(cls, rgb: np.ndarray, depth: np.ndarray) -> Backdrop:
        """A picture (h, w, 3) that is there already."""
        z = checked_array(depth, np.float32, (None, None), "Backdrop depth")
        return cls(load("mesh").StillBackdrop(checked_array(rgb, np.float32, (*z.shape, 3), "Backdrop rgb")), z)


def draw_over(
    world: MeshWorld, T_world_part: np.ndarray, behind: Backdrop, *, K: np.ndarray, T_world_camera: np.ndarray, light: LightLike,
    shadow_map: ShadowMap | None = None, contact_map: ContactMap | None = None,
    more: tuple[ShadowMap | None, ContactMap | None] = (None, None), shadow: float = 0.6, bias_m: float = 0.004,
    supersample: int = 1, visible: np.ndarray | None = None, rgb_gain: np.ndarray | None = None, near_m: float = 0.01,
    step: float = 0.0, truth: bool = False, threads: int = 0,
) -> tuple[np.ndarray, Truth | None]:  # fmt: skip
    """The parts, as `render` draws them, over a background that receives their shadow and contact: (h, w, 3) float32 linear.

    `shadow` is the share of the background's light that the key gives, `bias_m` how much nearer to the light its points are
    taken to be. With `truth` also what the picture shows of the parts: depth inf, part -1 and normal 0 where none is.
    """
    h, w = behind.depth.shape
    rgb = np.empty((h, w, 3), np.float32)
    known = Truth(depth=np.empty((h, w), np.float32), part=np.empty((h, w), np.int32), normal=np.empty((h, w, 3), np.float32)) if truth else None
    load("mesh").draw_over(
        **_drawing(
            world, T_world_part, K, T_world_camera, light, shadow_map, contact_map, more, supersample=supersample, visible=visible,
            rgb_gain=rgb_gain,
        ),
        width=w, height=h, backdrop=behind.native, behind=behind.depth, strength=float(shadow), bias=float(bias_m), near_m=near_m,
        step=float(step), threads=threads, rgb=rgb, depth=known and known.depth, part=known and known.part, normal=known and known.normal,
    )  # fmt: skip
    return rgb, known


class PlanePicture:
    """A picture painted onto a rectangle of the horizontal plane z = `height_m`, for any camera to look at.

    `srgb` (h, w, 3) uint8 has x to the right and y upwards, its top left corner at `corner_m` (x, y); a texel is `texel_m`
    wide. `on` (h, w) bool: where there is paint.
    """

    def __init__(self, srgb: np.ndarray, on: np.ndarray, *, corner_m: tuple[float, float], texel_m: float, height_m: float) -> None:
        a = checked_array(srgb, np.uint8, (None, None, 3), "PlanePicture srgb")
        mask = checked_array(on, np.uint8, a.shape[:2], "PlanePicture on")
        self._native = load("mesh").PlanePicture(a, mask, corner_m[0], corner_m[1], texel_m, height_m)

    def depth(self, *, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int, threads: int = 0) -> np.ndarray:
        """Camera z (h, w) [m] of the pixels that see paint, inf elsewhere."""
        out = np.empty((height, width), np.float32)
        self._native.depth(*_camera(K, T_world_camera), width, height, threads, out)
        return out

    def backdrop(
        self, seen: np.ndarray, depth: np.ndarray, *, K: np.ndarray, T_world_camera: np.ndarray, colour: np.ndarray, left: np.ndarray,
        rgb_gain: np.ndarray, fill_rgb: np.ndarray, other_gain: np.ndarray,
    ) -> Backdrop:  # fmt: skip
        """The paint, times `rgb_gain` (3,), under splats of `colour` (3, h, w), sRGB and premultiplied, which leave the share `left`
        (h, w) of the light. Where `seen` (h, w), what `depth` gave, is inf they are over `fill_rgb` (3,), sRGB. The splats are times
        `other_gain` (3,). The paint is filtered along the longer side of a pixel's footprint. `depth` (h, w) [m] is of all together."""
        z = checked_array(depth, np.float32, (None, None), "backdrop depth")
        native = load("mesh").PlaneBackdrop(
            self._native, *_camera(K, T_world_camera), checked_array(seen, np.float32, z.shape, "backdrop seen"),
            checked_array(rgb_gain, np.float32, (3,), "backdrop rgb_gain"), checked_array(colour, np.float32, (3, *z.shape), "backdrop colour"),
            checked_array(left, np.float32, z.shape, "backdrop left"), checked_array(fill_rgb, np.float32, (3,), "backdrop fill_rgb"),
            checked_array(other_gain, np.float32, (3,), "backdrop other_gain"),
        )  # fmt: skip
        return Backdrop(native, z)


def _camera(K: np.ndarray, T_world_camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return checked_array(K, np.float64, (3, 3), "K"), checked_array(T_world_camera, np.float64, (4, 4), "T_world_camera")


def to_srgb8(
    rgb: np.ndarray, *, gain_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0), blur_px: float = 0.0,
    noise_std: float = 0.0, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """Linear (h, w, 3) → uint8 sRGB: Gaussian blur (sigma [px]), gain, encoding, then noise (0–1 scale) drawn from `seed`."""
    a = checked_array(rgb, np.float32, (None, None, 3), "to_srgb8 rgb")
    out = np.empty(a.shape, np.uint8)
    load("mesh").sense(a, checked_array(gain_rgb, np.float32, (3,), "gain_rgb"), blur_px, noise_std, seed & (2**64 - 1), out)
    return out


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB 0–1 → linear 0–1, float32 (IEC 61966-2-1)."""
    a = np.asarray(srgb, np.float32)
    return np.where(a <= 0.04045, a / 12.92, ((np.maximum(a, 0) + 0.055) / 1.055) ** 2.4).astype(np.float32)
