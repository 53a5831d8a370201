"""Masks in the photos' own pixels: the lens goes back on, whatever number of objects and lenses."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from phone2sim.assets.masks import in_photo, where_undistorted, write_masks
from phone2sim.assets.views import View
from phone2sim.reconstruct.cameras import Cameras

K = np.array([[120.0, 0, 80], [0, 120, 60], [0, 0, 1]])


def camera(distortion) -> Cameras:
    return Cameras(
        T_world_camera=np.eye(4)[None], K=K[None] * [[[2], [2], [1]]], size_wh=np.array([[320, 240]]), distortion=np.array([distortion], float),
        names=("a.jpg",), sources=("a.jpg",),
    )  # fmt: skip


def view() -> View:
    return View(name="a.jpg", photo=np.zeros((240, 320, 3), np.uint8), depth=np.ones((120, 160), np.float32), K=K, T_camera_world=np.eye(4))


def blobs() -> np.ndarray:
    """Three touching objects, one of them at the picture's corner, and one that is not wanted."""
    mask = np.zeros((120, 160), np.uint8)
    mask[20:70, 30:80], mask[50:100, 60:120], mask[90:, 140:], mask[40:45, 100:150] = 3, 1, 5, 2
    return mask


@pytest.mark.parametrize("distortion", [[0, 0, 0, 0], [-0.2, 0.05, 0.002, -0.003], [0.15, 0, 0, 0]])
def test_who_gives_most_of_a_pixel_has_it(distortion):
    import cv2

    u, v = where_undistorted(camera(distortion), view())
    mask, ids = blobs(), [1, 3, 5]
    share = np.stack([cv2.remap((mask == k).astype(np.float32), u, v, cv2.INTER_LINEAR) for k in ids])
    want = np.where(share.max(axis=0) > 0.5, share.argmax(axis=0) + 1, 0)
    got = in_photo(mask, ids, u, v)
    assert np.array_equal(got, want) and set(np.unique(got)) == {0, 1, 2, 3}
    assert not in_photo(mask, [], u, v).any() and not in_photo(mask, [9], u, v).any()


def test_undistorted_pixels_are_where_the_lens_maps_from():
    import cv2

    lens = camera([-0.2, 0.05, 0.002, -0.003])
    u, v = where_undistorted(lens, view())
    ray = np.stack([(u + 0.5 - K[0, 2]) / K[0, 0], (v + 0.5 - K[1, 2]) / K[1, 1], np.ones_like(u)], axis=-1).reshape(-1, 3)
    back = cv2.projectPoints(ray.astype(float), np.zeros(3), np.zeros(3), lens.K[0], lens.distortion[0])[0].reshape(240, 320, 2)
    i, j = np.indices((240, 320)) + 0.5
    inner = np.s_[20:-20, 20:-20]
    assert np.abs(back - np.stack([j, i], axis=-1))[inner].max() < 0.1


def test_every_photo_gets_its_own_lens(tmp_path):
    one, two = camera([-0.2, 0, 0, 0]), camera([0.2, 0, 0, 0])
    both = Cameras(
        T_world_camera=np.tile(np.eye(4), (3, 1, 1)), K=np.repeat(one.K, 3, axis=0), size_wh=np.repeat(one.size_wh, 3, axis=0),
        distortion=np.concatenate([one.distortion, two.distortion, one.distortion]), names=("a.jpg", "b.jpg", "c.jpg"), sources=("a", "b", "c"),
    )  # fmt: skip
    views = [replace(view(), name=n) for n in both.names]
    write_masks(tmp_path, np.stack([blobs()] * 3), [1, 3, 5], views, both)
    a, b, c = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in "abc")
    assert np.array_equal(a, c) and not np.array_equal(a, b)
    assert np.array_equal(b, in_photo(blobs(), [1, 3, 5], *where_undistorted(two, view())))
