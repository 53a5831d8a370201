"""Heights that only the photos tell: a card 5 mm high whose depth is drawn as the table's own."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic
import trimesh

from phone2sim.assets import relief as module
from phone2sim.assets.edges import outlined
from phone2sim.assets.relief import photo_relief
from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.support import Support
from phone2sim.poses import Pose

HIGH, HALF, CELL = 0.005, 0.05, 0.004


def chips(points, part):
    """Small patches of colour; those of the card are blue."""
    ij = np.floor(points[:, :2] / 0.006).astype(np.int64)
    r = ((ij @ [73856093, 19349663] + 7 * part) % 101) / 101
    return np.stack([r, 1 - 0.5 * r, 0.4 + 0 * r], 1) if part == 0 else np.stack([0.2 * r, 0.3 * r, 0.5 + 0.5 * r], 1)


@pytest.fixture(scope="module")
def views():
    """Photos of a card on a table, both textured, and the table's depth everywhere."""
    with pytest.MonkeyPatch.context() as m:
        card = trimesh.creation.box((2 * HALF, HALF, HIGH))
        card.apply_translation([0, 0, HIGH / 2])
        m.setattr(synthetic, "bodies", lambda: {"card": card})
        m.setattr(synthetic, "albedo", chips)
        seen = synthetic.raycast().views
    flat = []
    for v in seen:
        h, w = v.depth.shape
        u, r = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
        ray = np.stack([(u - v.K[0, 2]) / v.K[0, 0], (r - v.K[1, 2]) / v.K[1, 1], np.ones_like(u)], -1) @ v.T_camera_world[:3, :3]
        table = np.where(v.depth > 0, -v.centre[2] / np.minimum(ray[..., 2], -1e-3), 0)
        flat.append(replace(v, depth=table.astype(np.float32)))
    return flat


def support(level=0.0):
    inside = np.zeros((140, 120), bool)
    inside[5:-5, 5:-5] = True
    outline = np.array([[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2]])
    surface = SupportSurface(name="table", T_world_surface=Pose.from_xyz_yaw(np.array([0, 0, level]), 0.0), outline=outline)
    return Support(surface=surface, noise_m=0.0004, seen=inside, inside=inside, tilt_rad=0.0)


def shown(views, level=0.0):
    found = photo_relief(views, support(level), origin=np.array([-0.28, -0.24]), cell=CELL, distance=0.62, most_m=0.012)
    x = found.origin[0] + found.cell * np.arange(found.sure.shape[0])
    y = found.origin[1] + found.cell * np.arange(found.sure.shape[1])
    return found, (np.abs(x)[:, None] < HALF - 0.005) & (np.abs(y) < HALF / 2 - 0.005), (np.abs(x)[:, None] < HALF + 0.02) & (np.abs(y) < HALF / 2 + 0.02)


@pytest.mark.parametrize("level", [0.0, -0.003])
def test_photos_show_the_card_and_its_height(views, level):
    found, card, around = shown(views, level)
    assert found.raised[card].mean() > 0.95
    assert np.median(found.height_m[card & found.raised]) == pytest.approx(HIGH, abs=0.001)
    assert found.flat[~around].mean() > 20 * found.raised[~around].mean()


def test_without_texture_photos_tell_nothing(views):
    plain = [replace(v, photo=np.full_like(v.photo, 120)) for v in views]
    found, _, _ = shown(plain)
    assert not found.raised.any() and not found.flat.any()


def test_a_core_grows_to_the_edge_of_its_colour(views):
    found, card, around = shown(views)
    core = found.raised & card
    core[: core.shape[0] // 2] = False
    whole = outlined(found, core, found.flat & ~card, np.zeros_like(core), reach_m=0.07)
    assert whole[card].mean() > 0.9 and not whole[~around].any()
    barred = outlined(found, core, found.flat & ~card, ~core & card, reach_m=0.07)
    assert not (barred & card & ~core).any()


def test_the_least_of_a_parabola_is_found_between_its_steps():
    steps = np.array([1.0, 1.5, 2.5, 4.0])
    costs = (steps[:, None] - np.array([1.9, 2.2])) ** 2 + 3
    assert module._least(costs, steps) == pytest.approx([1.9, 2.2])
