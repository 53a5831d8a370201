"""The handheld phone clip of the sample's world, and its truth: cameras, masks, meshes, poses, volumes, masses."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phone2sim._native.mesh import to_srgb8
from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import look_at
from phone2sim.progress import track
from phone2sim.sample.room import TABLE_M
from phone2sim.sample.scene import SampleConfig, SampleScene, make_scene

RADIUS_M = 0.77
ELEVATIONS_DEG = (35.0, 55.0)
SWEEP_DEG = 300.0
FOCAL = 0.8
"""Focal length as a share of the longer side, a phone's main camera in video."""


def _wander(t: np.ndarray, key: Key, fast_hz: float) -> np.ndarray:
    """Smooth hand motion of about unit size over times `t` [s]: a few sines of unrelated frequency."""
    rng = key.rng()
    f = rng.uniform(0.15, 1.0, 5) * fast_hz
    phase = rng.uniform(0, 2 * np.pi, 5)
    weight = 1 / (0.4 + f)
    return (np.sin(2 * np.pi * f * t[..., None] + phase) * weight).sum(-1) / np.sqrt((weight**2).sum() / 2)


def trajectory(time_s: np.ndarray, duration_s: float, key: Key, *, radius_m: float = RADIUS_M) -> np.ndarray:
    """T_world_camera (n, 4, 4) at `time_s`: once around low, up, and back around higher, as a hand does it."""
    s = np.clip(time_s / duration_s, 0, 1)
    ease = lambda a: a - 0.35 * np.sin(2 * np.pi * a) / (2 * np.pi)  # noqa: E731
    there, back = np.clip(s / 0.52, 0, 1), np.clip((s - 0.52) / 0.48, 0, 1)
    azimuth = np.deg2rad(SWEEP_DEG) * (ease(there) - ease(back)) + key.child("start").rng().uniform(0, 2 * np.pi)
    rise = np.clip((s - 0.44) / 0.16, 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    low, high = np.deg2rad(ELEVATIONS_DEG)
    elevation = low + (high - low) * rise + np.deg2rad(1.6) * _wander(time_s, key.child("elevation"), 0.8)
    azimuth = azimuth + np.deg2rad(0.8) * _wander(time_s, key.child("azimuth"), 1.2)
    radius = radius_m + 0.025 * _wander(time_s, key.child("radius"), 0.7)
    target = np.stack([0.012 * _wander(time_s, key.child("target", a), 1.6) for a in "xyz"], -1) + [0, 0, 0.03]
    roll = np.deg2rad(1.3) * _wander(time_s, key.child("roll"), 1.1)
    shake = np.stack([0.0016 * _wander(time_s, key.child("shake", a), 7.0) for a in "xyz"], -1)
    eye = radius[:, None] * np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], -1
    )
    out = np.empty((len(time_s), 4, 4))
    for i in range(len(time_s)):
        R = np.eye(4)
        R[:2, :2] = [[np.cos(roll[i]), -np.sin(roll[i])], [np.sin(roll[i]), np.cos(roll[i])]]
        out[i] = look_at(eye[i] + shake[i], target[i] + shake[i]).matrix @ R
    return out


def filming_distance(scene: SampleScene) -> float:
    """Radius of the clip's orbit [m]: a little farther where the objects take more room."""
    return RADIUS_M * (1 + 0.55 * (scene.spread - 1))


def intrinsics(config: SampleConfig) -> np.ndarray:
    """K (3, 3) [px] of the clip's camera."""
    f = FOCAL * max(config.width, config.height)
    return np.array([[f, 0, config.width / 2], [0, f, config.height / 2], [0, 0, 1.0]])


def _exposures(config: SampleConfig, key: Key) -> list[tuple[float, int]]:
    """Shutter time [s] and number of sub-frames of each frame: most are sharp, some soft, a few clearly blurred."""
    n = config.n_frames
    out = [(0.0, 1)] * n
    rng = key.rng()
    # never among the first and last frames, and one at a time
    inner = np.arange(2, n - 2)
    for rank, i in enumerate(sorted(rng.permutation(inner)[: max(1, n // 9)].tolist())):
        out[i] = (1 / 25, 9) if rank % 3 == 1 else (1 / 150, 3)
    return out


def make_sample(
    out: Path, *, seed: int | None = None, config: SampleConfig | None = None, empty: bool = False, threads: int = 0
) -> dict[str, Any]:
    """Write the clip `out` (H.264 in .mp4), beside it `<stem>.truth.json` and the folder `<stem>.truth/`.

    The folder holds `masks/%06d.png` (8-bit instance ids, 0 is background) and `meshes/<name>.glb` (asset frame).
    With `empty` there is `<stem>_empty.mp4` too, see `film_empty`. Returns the truth. Raises `InputError` when `out` does not end
    in .mp4.
    """
    out = Path(out)
    if out.suffix.lower() != ".mp4":
        raise InputError(f"The sample clip is an MP4 file; {out.name!r} does not end in .mp4.")
    config = config or SampleConfig()
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    scene = make_scene(config, threads=threads)
    key = Key(config.seed).child("clip")
    duration = config.n_frames / config.fps
    time_s = np.arange(config.n_frames) / config.fps
    poses = trajectory(time_s, duration, key.child("hand"), radius_m=filming_distance(scene))
    K = intrinsics(config)
    folder = out.parent / f"{out.stem}.truth"
    if folder.exists():
        shutil.rmtree(folder)
    (folder / "masks").mkdir(parents=True)
    _film(out, scene, config, K, poses, time_s, duration, key, folder, threads)
    if empty:
        film_empty(out.with_name(f"{out.stem}_empty.mp4"), scene, config, threads=threads)
    for o in scene.objects:
        o.save_glb(folder / "meshes" / f"{o.name}.glb")
    truth = truth_of(scene, config, K, poses, time_s, folder.name)
    write_json(out.parent / f"{out.stem}.truth.json", truth)
    return truth


def film_empty(out: Path, scene: SampleScene, config: SampleConfig, *, threads: int = 0) -> np.ndarray:
    """Write a second clip `out` of the same table, half as long, after the objects were taken away and by another path of the hand.

    Returns its T_world_camera (n, 4, 4).
    """
    config = config.model_copy(update={"n_frames": max(6, config.n_frames // 2)})
    key = Key(config.seed).child("empty clip")
    duration = config.n_frames / config.fps
    time_s = np.arange(config.n_frames) / config.fps
    poses = trajectory(time_s, duration, key.child("hand"), radius_m=filming_distance(scene))
    _film(out, scene.bare(threads=threads), config, intrinsics(config), poses, time_s, duration, key, None, threads)
    return poses


def _film(out: Path, scene: SampleScene, config: SampleConfig, K: np.ndarray, poses: np.ndarray, time_s: np.ndarray,
          duration: float, key: Key, folder: Path | None, threads: int) -> None:  # fmt: skip
    """The clip `out`, whole or not at all; masks below `folder`, if there is one."""
    partial = out.with_name(f".{out.stem}.partial.mp4")
    try:
        _encode(partial, scene, config, K, poses, time_s, duration, key, folder, threads)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(out)


def _encode(path: Path, scene: SampleScene, config: SampleConfig, K: np.ndarray, poses: np.ndarray, time_s: np.ndarray,
            duration: float, key: Key, folder: Path | None, threads: int) -> None:  # fmt: skip
    import av

    drift = 2.0 ** (0.10 * _wander(time_s, key.child("exposure"), 0.35))
    tint = np.stack([1 + 0.012 * _wander(time_s, key.child("balance", c), 0.3) for c in "rgb"], -1)
    exposures = _exposures(config, key.child("blur"))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(config.fps))
        stream.width, stream.height, stream.pix_fmt = config.width, config.height, "yuv420p"
        # one x264 thread: the same bytes on any machine; its macroblock tree is not repeatable at every size
        stream.options = {"crf": "18", "preset": "veryfast", "threads": "1", "x264-params": "threads=1:mbtree=0"}
        stream.thread_count = 1
        for i in track(range(config.n_frames), "Filming the sample", unit="frame"):
            image = scene.view(K, poses[i], config.width, config.height, threads=threads)
            rgb = image.rgb
            shutter, n = exposures[i]
            if n > 1:
                times = time_s[i] + shutter * ((np.arange(n) + 0.5) / n - 0.5)
                # a hand that slips a little makes the blur visible in the middle of the picture, too
                subposes = trajectory(times, duration, key.child("hand"), radius_m=filming_distance(scene))
                if n > 3:
                    slip = key.child("slip", i).rng().normal(0, 0.0035, 3)
                    subposes[:, :3, 3] += ((times - time_s[i]) / shutter * 2)[:, None] * slip
                views = [
                    scene.view(K, T, config.width, config.height, supersample=1, threads=threads).rgb for T in subposes
                ]
                rgb = np.asarray(np.mean(views, axis=0), np.float32)
            red, green, blue = (float(v) for v in drift[i] * tint[i])
            pixels = to_srgb8(rgb, gain_rgb=(red, green, blue), blur_px=0.45, noise_std=0.011, seed=key.child("noise", i).integer())
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
            if folder is not None:
                Image.fromarray(scene.instances(image)).save(folder / "masks" / f"{i:06d}.png", compress_level=3)
        for packet in stream.encode():
            container.mux(packet)


def truth_of(
    scene: SampleScene, config: SampleConfig, K: np.ndarray, poses: np.ndarray, time_s: np.ndarray, folder: str
) -> dict[str, Any]:
    """The content of `<stem>.truth.json`; `folder` holds masks and meshes. `contacts` is there unless all stand apart."""
    light = scene.light
    return {
        "fps": config.fps,
        "size_wh": [config.width, config.height],
        "K": K.tolist(),
        "distortion": [0.0, 0.0, 0.0, 0.0],
        "frames": [
            {"index": i, "time_s": float(t), "T_world_camera": T.tolist(), "mask": f"{folder}/masks/{i:06d}.png"}
            for i, (t, T) in enumerate(zip(time_s, poses))
        ],
        "sheet": {"T_world_sheet": scene.T_world_sheet.to_json()} if scene.T_world_sheet is not None else None,
        "table": {"height_m": 0.0, "size_m": list(TABLE_M)},
        "light": {
            "direction": light.direction.tolist(), "key_rgb": light.key_rgb.tolist(), "ambient_sh": light.ambient_sh.tolist()
        },
        "objects": [
            {
                "name": o.name, "label": o.label, "material": o.material, "id": k + 1,
                "T_world_asset": {
                    "translation": scene.T_world_object.translation[k].tolist(),
                    "quat_wxyz": scene.T_world_object.quat_wxyz[k].tolist(),
                },
                "extents_m": o.extents_m.tolist(), "volume_m3": o.volume_m3(), "mass_kg": o.mass_kg,
                "mesh": f"{folder}/meshes/{o.name}.glb",
            }
            for k, o in enumerate(scene.objects)
        ],
        **({"contacts": [{c.kind: [c.first, c.second]} for c in scene.contacts]} if scene.contacts else {}),
    }  # fmt: skip
