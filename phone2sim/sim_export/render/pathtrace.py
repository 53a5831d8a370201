"""`PathTracedRenderer`: the same frames as `EpisodeRenderer`, path traced by Mitsuba 3. Slow; what the fast pictures are measured by.

The captured background is a backdrop whose table receives light (Debevec 1998, differential rendering): the table's
pixels are an albedo on its plane, so objects shade it, darken their contact and colour it, and where nothing does so
the backdrop comes out as it is. Light is the episode's: second-order SH as an environment, and the key as a disk in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phone2sim._native.layer import Shot
from phone2sim._native.mesh import srgb_to_linear
from phone2sim.augment.lighting import sh_irradiance
from phone2sim.augment.spec import LightSpec
from phone2sim.errors import MissingDependencyError
from phone2sim.sim_export.render.background import BackgroundCache, BackgroundView, camera_matrices, draw_background
from phone2sim.sim_export.render.compositor import EpisodeRenderer
from phone2sim.sim_export.render.environment import environment_picture
from phone2sim.sim_export.render.parts import RenderPart
from phone2sim.sim_export.render.retexture import dressed

BOUNCES = 5
"""Longest path is this many bounces and the emitter."""
MAX_ALBEDO = 0.95
PASS_PATHS = 2_000_000
"""Paths in flight at once: about 1 GB."""
TABLE_MARGIN_M, TABLE_CELL_M = 0.4, 0.02
"""The table goes on so far beside the picture, in cells of this size: what stands there must not be lit from below."""
LLVM = (16, 0, 0)
"""Before this, LLVM ends the process on some machines with AVX-512."""
BEHIND_M = 0.03
"""A part this far behind the backdrop is hidden by it."""


class PathTracedRenderer(EpisodeRenderer):
    """Takes what `EpisodeRenderer` takes, and `samples` paths a pixel; the same machine draws the same each time.

    Truth, lens, exposure and sensor are `EpisodeRenderer`'s. Raises `MissingDependencyError` without Mitsuba.
    """

    def __init__(self, *, samples: int = 256, **options: Any) -> None:
        self._mitsuba = load_mitsuba()
        super().__init__(**options)
        self.samples = samples
        self._drawables = tuple(options["parts"])
        self._environment = environment_picture(self._lights)
        self._bsdfs = [_bsdf(p) for p in self._drawables]
        self._cache = options.get("background_cache") or BackgroundCache()

    def _draw(
        self, T_world_part: np.ndarray, mounts: Mapping[str, np.ndarray], frame_index: int, *, truth: bool, linear: bool,
        only_truth: bool = False,
    ) -> dict[str, Shot]:  # fmt: skip
        fast = super()._draw(T_world_part, mounts, frame_index, truth=truth, linear=True, only_truth=not truth or only_truth)
        if only_truth:
            return fast
        T = np.array(T_world_part, float)
        T[self._fixed] = self._T_still
        out = {}
        for c in self.cameras:
            drawn = self._pinhole(c)
            K, T_camera = camera_matrices(drawn)
            if c.mount:
                T_camera = np.asarray(mounts[c.mount], float) @ T_camera
                view = draw_background(self._cloud, drawn, support_height_m=self._support, T_world_camera=T_camera)
            else:
                view = self._cache.view(self._cloud, drawn, support_height_m=self._support)
            rgb = self._traced(T, view, K, T_camera, seed=self._seed(c, frame_index) & 0x3FFFFFFF)
            out[c.name] = Shot(rgb=rgb, truth=fast[c.name].truth)
        return out

    def _traced(
        self, T_world_part: np.ndarray, view: BackgroundView, K: np.ndarray, T_world_camera: np.ndarray, *, seed: int
    ) -> np.ndarray:  # fmt: skip
        """(h, w, 3) float32 linear."""
        mi = self._mitsuba
        h, w = view.depth.shape
        backdrop = dressed(view, self._surfaces, self._lights, K=K, T_world_camera=T_world_camera)
        parts = [
            _shape(mi, p.mesh.vertices @ T[:3, :3].T + T[:3, 3], p.mesh.faces, p.mesh.uv, b, p.mesh.vertex_normals @ T[:3, :3].T)
            for p, T, b in zip(self._drawables, T_world_part, self._bsdfs)
        ]
        table = self._table(view, backdrop, K, T_world_camera)
        scene = mi.load_dict(
            {
                "type": "scene",
                "integrator": {
                    "type": "aov", "aovs": "distance:depth",
                    "path": {"type": "path", "max_depth": BOUNCES + 1, "hide_emitters": True},
                },
                "sensor": _sensor(mi, K, T_world_camera, w, h),
                "light": {"type": "envmap", "bitmap": mi.Bitmap(self._environment), "to_world": mi.ScalarTransform4f(_Z_UP)},
                **{f"part_{i}": s for i, s in enumerate([*parts, *table])},
            }
        )  # fmt: skip
        passes = -(-self.samples * h * w // PASS_PATHS)
        each = -(-self.samples // passes)
        image = sum(np.array(mi.render(scene, spp=each, seed=seed + k), np.float32) for k in range(passes)) / passes
        alpha = np.clip(image[..., 3], 0, 1)
        y, x = np.mgrid[0:h, 0:w] + 0.5
        ray = np.linalg.norm(np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T, axis=-1)
        z = image[..., 4] / np.maximum(alpha, 1e-3) / ray
        alpha[(z > view.depth + BEHIND_M) & ~view.table] = 0
        seen = np.where(alpha[..., None] > 0, image[..., :3], 0)
        return (seen + (1 - alpha[..., None]) * backdrop).astype(np.float32)

    def _table(self, view: BackgroundView, backdrop: np.ndarray, K: np.ndarray, T_world_camera: np.ndarray) -> list[Any]:
        """The table's pixels as little squares on its plane, and the plane around the picture in their mean colour."""
        mi = self._mitsuba
        h, w = view.depth.shape
        if not view.table.any():
            return []
        albedo = np.clip(backdrop / np.maximum(support_irradiance(self._lights), 1e-4), 0, MAX_ALBEDO)
        y, x = np.mgrid[0 : h + 1, 0 : w + 1].astype(float)
        rays = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(K).T @ T_world_camera[:3, :3].T
        down = np.minimum(rays[..., 2], -1e-6)
        corner = T_world_camera[:3, 3] + rays * ((self._support - T_world_camera[2, 3]) / down)[..., None]
        rows, columns = np.nonzero(view.table)
        a = rows * (w + 1) + columns
        squares = np.concatenate([np.stack([a, a + w + 1, a + 1], -1), np.stack([a + 1, a + w + 1, a + w + 2], -1)])
        uv = np.stack([x / w, 1 - y / h], -1).reshape(-1, 2)
        top = _shape(mi, corner.reshape(-1, 3), squares, uv, _diffuse(_bitmap(albedo.astype(np.float32), nearest=True)))
        mean = albedo[view.table].mean(axis=0)
        on = corner.reshape(-1, 3)[np.unique(squares)]
        around = _outside(on[:, :2].min(0) - TABLE_MARGIN_M, on[:, :2].max(0) + TABLE_MARGIN_M, self._support, K, T_world_camera, w, h)
        beside = [_shape(mi, around[0], around[1], None, _diffuse(_colour(mean)))] if len(around[1]) else []
        return [top, *beside]


def load_mitsuba() -> Any:
    """The `mitsuba` module, on its vectorised CPU variant where the machine has LLVM of `LLVM` or later (`DRJIT_LIBLLVM_PATH`
    says where), else on the plain one, which takes six times as long. Raises `MissingDependencyError` when it is not
    installed."""
    try:
        import drjit
        import mitsuba
    except ImportError as e:
        raise MissingDependencyError("Path-traced pictures need Mitsuba 3.", hint="pip install 'phone2sim[pbr]'") from e
    fast = drjit.has_backend(drjit.JitBackend.LLVM) and drjit.detail.llvm_version() >= LLVM
    mitsuba.set_variant("llvm_ad_rgb" if fast else "scalar_rgb")
    return mitsuba


def support_irradiance(lights: LightSpec) -> np.ndarray:
    """(3,) on the level table with nothing around it; 1 is a white surface at full brightness."""
    key = np.array(lights.key_rgb) * max(0.0, -lights.direction[2])
    return key + sh_irradiance(np.array(lights.ambient_sh), np.array([0.0, 0.0, 1.0]))


_Z_UP = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
"""Mitsuba's environments have y up."""


def _sensor(mi: Any, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int) -> dict[str, Any]:
    """A pinhole camera of square pixels; Mitsuba's looks along z with x to the left and y up."""
    return {
        "type": "perspective", "fov_axis": "x", "fov": float(np.degrees(2 * np.arctan(width / 2 / K[0, 0]))),
        "principal_point_offset_x": float(0.5 - K[0, 2] / width), "principal_point_offset_y": float(0.5 - K[1, 2] / height),
        "to_world": mi.ScalarTransform4f(T_world_camera @ np.diag([-1.0, -1, 1, 1])), "near_clip": 0.01, "far_clip": 100.0,
        "film": {
            "type": "hdrfilm", "width": width, "height": height, "pixel_format": "rgba", "component_format": "float32",
            "rfilter": {"type": "box"},
        },
    }  # fmt: skip


def _shape(
    mi: Any, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray | None, bsdf: dict[str, Any], normals: np.ndarray | None = None
) -> Any:  # fmt: skip
    """A mesh in the world; `uv` has its origin at the bottom left, Mitsuba's at the top left."""
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(bsdf)
    mesh = mi.Mesh(
        "mesh", len(vertices), len(faces), has_vertex_normals=normals is not None, has_vertex_texcoords=uv is not None, props=properties
    )
    values = mi.traverse(mesh)
    values["vertex_positions"] = np.ascontiguousarray(vertices, np.float32).ravel()
    values["faces"] = np.ascontiguousarray(faces, np.uint32).ravel()
    if normals is not None:
        values["vertex_normals"] = np.ascontiguousarray(normals, np.float32).ravel()
    if uv is not None:
        values["vertex_texcoords"] = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=-1).astype(np.float32).ravel()
    values.update()
    return mesh


def _bsdf(part: RenderPart) -> dict[str, Any]:
    """Matte, or under a clear coat whose highlight is as strong as `gloss` says.

    The compositor adds gloss · cos^64 of the half vector; a Beckmann lobe of the roughness that goes with that exponent
    (Walter 2007) has its peak at 8.2 F0 of the key, which gives F0 and so the coat's index of refraction. What the coat
    turns back never reaches the body; the body is that much whiter, so that its albedo is still the mesh's.
    """
    root = np.sqrt(min(part.gloss / 8.2, 0.5))
    index = float((1 + root) / (1 - root))
    gain = np.array(part.rgb_gain) / (_coat_transmits(index) if part.gloss > 0 else 1)
    if part.mesh.texture is None or part.mesh.uv is None:
        colour = _colour(np.array(part.rgb) * gain)
    else:
        colour = _bitmap(np.clip(srgb_to_linear(part.mesh.texture / 255.0) * gain, 0, MAX_ALBEDO).astype(np.float32))
    if part.gloss <= 0:
        return _diffuse(colour)
    coat = {"type": "roughplastic", "diffuse_reflectance": colour, "int_ior": index, "alpha": float(np.sqrt(2 / 66))}
    return {"type": "twosided", "coat": coat}


def _coat_transmits(index: float) -> float:
    """Share of diffuse light that enters a dielectric of that index (Egan & Hilgeman 1973)."""
    inside = -1.4399 / index**2 + 0.7099 / index + 0.6681 + 0.0636 * index
    return float(np.clip(index**2 * (1 - inside), 0.5, 1.0))


def _diffuse(colour: dict[str, Any]) -> dict[str, Any]:
    return {"type": "twosided", "matte": {"type": "diffuse", "reflectance": colour}}


def _colour(rgb: np.ndarray) -> dict[str, Any]:
    return {"type": "rgb", "value": [float(x) for x in np.clip(rgb, 0, MAX_ALBEDO)]}


def _bitmap(linear: np.ndarray, *, nearest: bool = False) -> dict[str, Any]:
    import mitsuba as mi

    return {
        "type": "bitmap", "bitmap": mi.Bitmap(linear), "raw": True, "wrap_mode": "clamp",
        "filter_type": "nearest" if nearest else "bilinear",
    }  # fmt: skip


def _outside(
    low: np.ndarray, high: np.ndarray, height_m: float, K: np.ndarray, T_world_camera: np.ndarray, width: int, picture_height: int
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Vertices and faces of the cells of the plane from `low` to `high` (2,) that no pixel sees."""
    n = np.ceil((high - low) / TABLE_CELL_M).astype(int) + 1
    gy, gx = np.mgrid[0 : n[1], 0 : n[0]]
    at = np.stack([low[0] + gx * TABLE_CELL_M, low[1] + gy * TABLE_CELL_M, np.full(gx.shape, height_m)], -1)
    p = (at - T_world_camera[:3, 3]) @ T_world_camera[:3, :3] @ K.T
    x, y = (p[..., k] / np.where(np.abs(p[..., 2]) > 1e-9, p[..., 2], 1e-9) for k in (0, 1))
    hidden = (p[..., 2] <= 0) | (x < 0) | (x > width) | (y < 0) | (y > picture_height)
    cell = hidden[:-1, :-1] & hidden[1:, :-1] & hidden[:-1, 1:] & hidden[1:, 1:]
    a = np.flatnonzero(np.pad(cell, ((0, 1), (0, 1))))
    faces = np.concatenate([np.stack([a, a + 1, a + n[0]], -1), np.stack([a + 1, a + n[0] + 1, a + n[0]], -1)])
    return at.reshape(-1, 3), faces
