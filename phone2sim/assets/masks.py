"""The objects' masks as pictures, in the photos' own pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from phone2sim.assets.views import View
from phone2sim.progress import abreast
from phone2sim.reconstruct.cameras import Cameras


def write_masks(folder: Path, masks: np.ndarray, ids: list[int], views: list[View], cameras: Cameras) -> None:
    """`<frame>.png` per photo, in its own pixels (distorted): 0 background, 1 + index in the scene's order of assets.

    `masks` (n views, h, w) uint8 are in the views' undistorted pixels, with ids as in `ids`.
    """
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    lens = [(*cameras.size_wh[i], *cameras.K[i].ravel(), *cameras.distortion[i], *v.K.ravel(), *v.depth.shape) for i, v in enumerate(views)]

    @lru_cache(maxsize=8)
    def undistorted(first: int) -> tuple[np.ndarray, np.ndarray]:
        return where_undistorted(cameras.take([first]), views[first])

    def write(i: int) -> None:
        u, v = undistorted(lens.index(lens[i]))
        mask = in_photo(masks[i], ids, u, v)
        Image.fromarray(mask).save((folder / views[i].name).with_suffix(".png"), compress_level=3)

    list(abreast(write, range(len(views)), "Writing masks"))


def where_undistorted(camera: Cameras, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Two (h, w) float32 [px, centre of the first at 0]: where each pixel of a photo is in its undistorted `view`."""
    import cv2

    w, h = (int(x) for x in camera.size_wh[0])
    u, v = np.meshgrid(np.arange(w, dtype=np.float32) + 0.5, np.arange(h, dtype=np.float32) + 0.5)
    if np.any(camera.distortion[0]):
        p = np.stack([u.ravel(), v.ravel()], axis=1)[:, None]
        q = cv2.undistortPoints(p, camera.K[0], camera.distortion[0], P=view.K)[:, 0]
        u, v = q[:, 0].reshape(h, w), q[:, 1].reshape(h, w)
    else:
        u, v = u * (view.depth.shape[1] / w), v * (view.depth.shape[0] / h)
    return u - 0.5, v - 0.5


def in_photo(mask: np.ndarray, ids: list[int], u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(h, w) uint8: 1 + index into `ids` of what gives most of a pixel that lies at `u`, `v` (h, w) in `mask`; 0 where nothing gives half."""
    import cv2
    from scipy import ndimage

    out, most = np.zeros(u.shape, np.uint8), np.full(u.shape, 0.5, np.float32)
    rim = 2 + int(np.ceil(2 * max(u.shape[0] / mask.shape[0], u.shape[1] / mask.shape[1])))
    boxes = ndimage.find_objects(cv2.remap(mask, u, v, cv2.INTER_NEAREST), max_label=max(ids, default=1))
    for new, old in enumerate(ids, start=1):
        if boxes[old - 1] is None:
            continue
        box = tuple(slice(max(s.start - rim, 0), s.stop + rim) for s in boxes[old - 1])
        soft = cv2.remap((mask == old).astype(np.float32), u[box], v[box], cv2.INTER_LINEAR)
        more = soft > most[box]
        out[box][more], most[box][more] = new, soft[more]
    return out
