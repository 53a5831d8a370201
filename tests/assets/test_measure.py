"""Dimensions of objects as users name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from phone2sim.assets.measure import footprint_sides, measure
from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.reconstruct.metric.length import parse_object_length


def scene_with_a_book(folder: Path) -> None:
    book = trimesh.creation.box((0.21, 0.14, 0.03))
    book.apply_transform(trimesh.transformations.rotation_matrix(0.6, [0, 0, 1]))
    book.apply_translation([0, 0, 0.015])
    (folder / "scene" / "book").mkdir(parents=True)
    book.export(folder / "scene" / "book" / "visual.glb")
    write_json(folder / "scene" / "scene.json", {"assets": ["book"]})
    write_json(folder / "scene" / "book" / "asset.json", {"visual": "visual.glb"})


@pytest.mark.parametrize(("dimension", "metres"), [("height", 0.03), ("length", 0.21), ("width", 0.14), ("depth", 0.14)])
def test_a_turned_book(tmp_path: Path, dimension: str, metres: float) -> None:
    scene_with_a_book(tmp_path)
    assert measure(tmp_path, parse_object_length(f"book {dimension}=1")) == pytest.approx(metres, rel=1e-4)


def test_unknown_objects_are_named(tmp_path: Path) -> None:
    scene_with_a_book(tmp_path)
    with pytest.raises(InputError, match=r"no object 'bok'; have book\. Did you mean book\?"):
        measure(tmp_path, parse_object_length("bok height=0.1"))
    with pytest.raises(InputError, match="has no objects yet"):
        measure(tmp_path / "elsewhere", parse_object_length("book height=0.1"))


def test_a_footprint_is_measured_along_its_own_sides() -> None:
    a = np.linspace(0, 2 * np.pi, 200)
    assert footprint_sides(np.column_stack([np.cos(a), np.sin(a)]) * 0.04) == pytest.approx((0.08, 0.08), rel=1e-2)
