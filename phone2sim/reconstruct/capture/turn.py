"""Quarter turns of pictures with everything that belongs to their pixels. Turns are counter-clockwise, as `np.rot90`.

A turn maps pixel (x, y) of a w×h picture to (y, w − x), and the camera axes x, y to y, −x.
"""

from __future__ import annotations

import numpy as np

Lens = tuple[float, float, float, float]

R_NEW_OLD = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
"""Camera axes after one turn from those before."""


def turn_lens(lens: Lens, size_wh: tuple[int, int], turns: int) -> Lens:
    """fx fy cx cy of the turned picture; `size_wh` is the size before."""
    w, h = size_wh
    for _ in range(turns % 4):
        lens = (lens[1], lens[0], lens[3], w - lens[2])
        w, h = h, w
    return lens


def turn_distortion(distortion: Lens, turns: int) -> Lens:
    """k1 k2 p1 p2 (OpenCV) of the turned picture."""
    k1, k2, p1, p2 = distortion
    for _ in range(turns % 4):
        p1, p2 = -p2, p1
    return k1, k2, p1, p2


def turn_pose(T_world_camera: np.ndarray, turns: int) -> np.ndarray:
    """(4, 4) pose of the turned camera."""
    T = np.array(T_world_camera, dtype=np.float64)
    T[:3, :3] = T[:3, :3] @ np.linalg.matrix_power(R_NEW_OLD.T, turns % 4)
    return T


def turn_vector(v_camera: np.ndarray, turns: int) -> np.ndarray:
    """(3,) vector in the turned camera's axes."""
    return np.linalg.matrix_power(R_NEW_OLD, turns % 4) @ np.asarray(v_camera, dtype=np.float64)


def upright_turns(up_camera: np.ndarray) -> int:
    """The turns that bring `up_camera` (n, 3), up in the axes of each camera, nearest to the pictures' tops.

    One number for all, so that a film does not flip; 0 when they look straight down and no side is the top.
    """
    up = np.asarray(up_camera, dtype=np.float64).reshape(-1, 3)
    if not len(up):
        return 0
    x, y = up[:, 0].mean(), up[:, 1].mean()
    toward_top = [-y, x, y, -x]
    best = int(np.argmax(toward_top))
    return best if toward_top[best] > max(0.2, toward_top[0] + 0.1) else 0
