"""The look of the table and of the room around it, and the table's height."""

from __future__ import annotations

from phone2sim.augment.sections import SurfacesRecipe
from phone2sim.augment.spec import SurfaceSpec
from phone2sim.augment.textures import sample_texture
from phone2sim.keys import Key


def sample_surfaces(recipe: SurfacesRecipe, key: Key) -> SurfaceSpec:
    """Table texture, paint of the walls, height of the table above the robot's base."""
    gain = recipe.wall_gain(key.child("wall_gain").rng(), 3)
    return SurfaceSpec(
        table=sample_texture(recipe.table, key.child("table")), wall_rgb_gain=tuple(round(float(x), 6) for x in gain),  # type: ignore[arg-type]
        height_m=round(float(recipe.height_m(key.child("height_m").rng())), 9),
    )  # fmt: skip
