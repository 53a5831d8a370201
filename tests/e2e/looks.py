"""A built demo's looks against the sample's own renderer: what lies under the objects, and the light. Plain functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phone2sim.assets.deshade import irradiance
from phone2sim.assets.scene import Light, Scene
from phone2sim.assets.views import spread
from phone2sim.config import read_json
from phone2sim.sample import SampleScene, make_scene
from tests.e2e.surface import Aligned

HEIGHT_PX = 640


def uncovered(scene_dir: Path, truth_json: Path, *, views: int = 6, truth: SampleScene | None = None) -> dict[str, Any]:
    """PSNR [dB] of the scene's background over the pixels that the removed objects covered, against the true world without them.

    By object, pooled over `views` cameras of the capture; one gain and offset a channel for the whole picture, because the
    exposure wanders. `hidden` has the `share` of these pixels that show table which no frame of the clip saw, the `psnr` there and
    `seen_psnr` elsewhere. `pictures` are (true, drawn, mask) per camera.
    """
    from phone2sim._native.mesh import to_srgb8
    from phone2sim.reconstruct.splat.judge import color_corrected
    from phone2sim.reconstruct.splat.rasterize import rasterize

    scene, truth = Scene.load(scene_dir), truth or make_scene()
    bare = truth.bare()
    aligned = Aligned.of(scene.cameras, truth_json)
    some = scene.cameras.take(spread(len(scene.cameras), views)).resized(HEIGHT_PX)
    names = [o["name"] for o in read_json(truth_json)["objects"]]
    squares: dict[str, list[np.ndarray]] = {n: [] for n in names}
    pictures = []
    unseen: list[np.ndarray] = []
    frames = _Frames.of(truth_json)
    for K, T, size in zip(some.K, some.T_world_camera, some.size_wh):
        w, h = (int(x) for x in size)
        at = T.copy()
        at[:3, :3], at[:3, 3] = aligned.R @ T[:3, :3], aligned(T[:3, 3])
        ids = truth.instances(truth.view(K, at, w, h, supersample=1))
        want = to_srgb8(bare.view(K, at, w, h).rgb).transpose(2, 0, 1) / 255.0
        shown = rasterize(scene.background, K=K, T_camera_world=np.linalg.inv(T), width=w, height=h).rgb
        got = color_corrected(np.clip(shown, 0, 1).transpose(2, 0, 1).astype(float), want)
        for k, n in enumerate(names, start=1):
            squares[n].append(((got - want) ** 2)[:, ids == k].ravel())
        pictures.append((want, got, ids))
        unseen += [np.tile(~frames.saw(_on_table(K, at, *np.nonzero(ids == k))), 3) for k in range(1, len(names) + 1)]
    psnr = {n: float(-10 * np.log10(np.concatenate(v).mean())) for n, v in squares.items()}
    n = len(names)
    error = np.concatenate([squares[names[i % n]][i // n] for i in range(len(unseen))])
    hidden = np.concatenate(unseen)
    db = lambda x: float(-10 * np.log10(x.mean())) if len(x) else np.inf  # noqa: E731
    split = {"share": float(hidden.mean()), "psnr": db(error[hidden]), "seen_psnr": db(error[~hidden])}
    return {"psnr": psnr, "all": db(error), "hidden": split, "pictures": pictures}


def _on_table(K: np.ndarray, T_world_camera: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """(n, 3) points at z = 0 that pixels look at."""
    ray = np.stack([(cols + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1], np.ones(len(rows))], axis=1)
    d = ray @ T_world_camera[:3, :3].T
    return T_world_camera[:3, 3] - d * (T_world_camera[2, 3] / d[:, 2:])


@dataclass(frozen=True)
class _Frames:
    """The clip's true cameras and masks."""

    K: np.ndarray
    T_camera_world: list[np.ndarray]
    masks: list[np.ndarray]

    @classmethod
    def of(cls, truth_json: Path) -> _Frames:
        truth = read_json(truth_json)
        T = [np.linalg.inv(np.array(f["T_world_camera"])) for f in truth["frames"]]
        return cls(np.array(truth["K"]), T, [np.asarray(Image.open(truth_json.parent / f["mask"])) for f in truth["frames"]])

    def saw(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: points (n, 3) that some frame shows bare."""
        out = np.zeros(len(points), bool)
        for T, mask in zip(self.T_camera_world, self.masks):
            p = (points @ T[:3, :3].T + T[:3, 3]) @ self.K.T
            j, i = np.floor(p[:, :2] / np.maximum(p[:, 2:], 1e-6)).astype(int).T
            ok = (p[:, 2] > 0) & (i >= 0) & (j >= 0) & (i < mask.shape[0]) & (j < mask.shape[1])
            out[ok] |= mask[i[ok], j[ok]] == 0
        return out


def ambient_error(scene_dir: Path, truth_json: Path) -> tuple[float, float]:
    """Mean relative error of the ambient irradiance over directions from level upwards, of the scene's light and of the default
    one, both relative to what the level ground gets in full light."""
    light = read_json(truth_json)["light"]
    aligned = Aligned.of(Scene.load(scene_dir).cameras, truth_json)
    true = Light(direction=np.array(light["direction"]), key_rgb=np.array(light["key_rgb"]), ambient_sh=np.array(light["ambient_sh"]))
    n = _upper()

    def ambient(x: Light, normals: np.ndarray) -> np.ndarray:
        full = irradiance(x, np.array([[0.0, 0, 1]]), np.ones(1))
        return irradiance(x, normals, np.zeros(len(normals))) / full

    want = ambient(true, n)
    own = n @ aligned.R  # the same directions in the scene's world
    off = [float((np.abs(ambient(x, own) - want) / want).mean()) for x in (Scene.load(scene_dir).light, Light.default())]
    return off[0], off[1]


def _upper(count: int = 200) -> np.ndarray:
    """(n, 3) unit normals spread over the upper half of the sphere."""
    k = np.arange(count) + 0.5
    z, a = k / count, 2.399963 * k
    return np.stack([np.sqrt(1 - z * z) * np.cos(a), np.sqrt(1 - z * z) * np.sin(a), z], axis=1)
