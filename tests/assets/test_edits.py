"""The user's edits of objects: parts merged, objects dropped, a support that is named."""

from __future__ import annotations

import numpy as np
import pytest

from phone2sim.assets.edits import edited, said_of, union
from phone2sim.assets.lift import Bodies
from phone2sim.assets.overrides import Override
from phone2sim.assets.scene import SupportSurface
from phone2sim.assets.solid import Solid, close_on_plane
from phone2sim.errors import AssetError, InputError
from phone2sim.poses import Pose
from phone2sim.reconstruct.mesh.fusion import Grid

VOXEL = 0.003


def ball(x: float, radius: float = 0.03) -> Solid:
    """Resting on z = 0."""
    centre = np.array([x, 0.0, radius - 0.001])
    grid = Grid.around(centre - radius - 4 * VOXEL, centre + radius + 4 * VOXEL, VOXEL)
    d = np.linalg.norm(grid.points() - centre, axis=1) - radius
    solid = Solid(grid=grid, distance=np.clip(d, -4 * VOXEL, 4 * VOXEL).reshape(grid.shape).astype(np.float32), mesh=None, level=0.0)
    return Solid(grid=grid, distance=solid.distance, mesh=close_on_plane(*solid.surface(), 0.0), level=0.0)


def bodies(*at: float) -> Bodies:
    n = len(at)
    masks = np.arange(n + 1, dtype=np.uint8).reshape(1, 1, n + 1)
    return Bodies(solids=[ball(x) for x in at], labels=np.arange(n + 1), masks=masks, notes=("",) * n)


@pytest.mark.parametrize("gap", [-0.01, 0.0, 0.004])
def test_parts_that_touch_become_one_closed_body(gap: float) -> None:
    a, b = ball(0.0), ball(0.06 + gap)
    both = union([a, b])
    assert both.mesh.is_watertight and len(both.mesh.split()) == 1
    assert both.mesh.extents[0] == pytest.approx(0.12 + gap, abs=VOXEL)
    if gap >= 0:
        assert both.mesh.volume == pytest.approx(a.mesh.volume + b.mesh.volume, rel=0.06)


def test_parts_apart_are_no_body() -> None:
    with pytest.raises(AssetError):
        union([ball(0.0), ball(0.09)])


def test_merged_parts_give_their_pixels_and_gaussians_away_and_names_stay() -> None:
    names = ["object_1", "object_2", "object_3"]
    found = edited(bodies(0.0, 0.3, 0.06), {"object_1": Override(merge=("object_3",)), "object_2": Override(drop=True)}, names)
    assert found.merged == {3} and found.dropped == {2}
    assert found.bodies.labels.tolist() == [0, 1, 2, 1] and found.bodies.masks.ravel().tolist() == [0, 1, 2, 1]
    assert len(found.bodies.solids) == 3 and found.bodies.solids[0].mesh.extents[0] == pytest.approx(0.12, abs=VOXEL)


def test_merges_that_cannot_be_say_why() -> None:
    names = ["object_1", "object_2"]
    with pytest.raises(InputError, match="no object 'object_7' to merge; have object_1, object_2"):
        edited(bodies(0.0, 0.3), {"object_1": Override(merge=("object_7",))}, names)
    with pytest.raises(InputError, match="object_2 and object_1 do not touch each other"):
        edited(bodies(0.0, 0.3), {"object_1": Override(merge=("object_2",))}, names)


def test_what_a_support_is_made_of() -> None:
    table = SupportSurface(name="table", T_world_surface=Pose.identity(), outline=np.eye(3)[:, :2])
    assert said_of(table, {}) is table
    wood = said_of(table, {"table": Override(material="wood")})
    assert wood.material == "wood" and wood.friction.why.startswith("unknown material on wood")
    with pytest.raises(InputError, match=r"\[table\]: a support has no 'mass_kg'. It has material."):
        said_of(table, {"table": Override(mass_kg=2.0)})
