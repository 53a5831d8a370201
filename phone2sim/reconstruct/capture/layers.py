"""Masks and depth of a capture beside `cameras/transforms.json`, as nerfstudio reads them: for every frame or for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture.record import Capture

MM = 1000.0


def write_layers(folder: Path, capture: Capture, world: Cameras) -> tuple[dict[str, str], dict[str, str]]:
    """Write `depth/*.png` (16-bit millimetres of the metric `world`) and fill-in masks into `folder`.

    Returns the files of masks and of depths by the names of `world`'s frames, relative to `folder`; both are empty
    when the capture has none. Frames without a mask get a white one, frames without depth zeros.
    """
    frames = {f.file: f for f in capture.frames}
    masks: dict[str, str] = {}
    depths: dict[str, str] = {}
    if any(frames[n].mask for n in world.names):
        for name, (w, h) in zip(world.names, world.size_wh.tolist()):
            own = frames[name].mask
            if own is None:
                (folder / "masks").mkdir(exist_ok=True)
                Image.new("L", (w, h), 255).save(folder / "masks" / f"{Path(name).stem}.png")
            masks[name] = f"../capture/masks/{own}" if own else f"masks/{Path(name).stem}.png"
    if any(frames[n].depth for n in world.names):
        scale = depth_scale(capture, world)
        (folder / "depth").mkdir(exist_ok=True)
        for name in world.names:
            depth = capture.depth(frames[name])
            depth = np.zeros((192, 256), np.float32) if depth is None else depth
            mm = np.clip(np.round(depth * (scale * MM)), 0, 65535).astype(np.uint16)
            Image.fromarray(mm).save(folder / "depth" / f"{Path(name).stem}.png")
            depths[name] = f"depth/{Path(name).stem}.png"
    return masks, depths


def depth_scale(capture: Capture, world: Cameras) -> float:
    """Metres of `world` per unit of the capture's depth: 1 for metric devices, else by the distances between cameras."""
    if capture.device is None or capture.device.metric:
        return 1.0
    posed = {f.file: f.T_world_camera for f in capture.frames if f.T_world_camera is not None}
    own = np.array([np.asarray(posed[n])[:3, 3] for n in world.names if n in posed])
    ours = np.array([c for n, c in zip(world.names, world.centres) if n in posed])
    if len(own) < 2:
        return 1.0
    a, b = np.triu_indices(len(own), 1)
    apart, apart_ours = (np.linalg.norm(c[a] - c[b], axis=1) for c in (own, ours))
    wide = apart >= max(float(np.median(apart)), 1e-12)
    return float(np.median(apart_ours[wide] / apart[wide])) if wide.any() else 1.0
