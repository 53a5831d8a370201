"""A built demo's looks against the sample's own renderer: what lies under the objects, and the light. Plain functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
    exposure wanders. `pictures` are (true, drawn, mask) per camera.
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
    psnr = {n: float(-10 * np.log10(np.concatenate(v).mean())) for n, v in squares.items()}
    every = float(-10 * np.log10(np.concatenate([x for v in squares.values() for x in v]).mean()))
    return {"psnr": psnr, "all": every, "pictures": pictures}


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
