"""Data sets as people have them: damaged, incomplete, zipped, beside photos, listing what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture import find_source
from tests.reconstruct.apps import writers
from tests.reconstruct.apps.truth import Truth, take


def _no_pictures(files: dict[str, bytes]) -> dict[str, bytes]:
    return {n: d for n, d in files.items() if not n.endswith((".jpg", ".png"))}


def _mirrored(files: dict[str, bytes]) -> dict[str, bytes]:
    data = json.loads(files["transforms.json"])
    for row in data["frames"][2:]:
        row["transform_matrix"][0] = [-v for v in row["transform_matrix"][0]]
    return files | {"transforms.json": json.dumps(data).encode()}


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "bad json",
            lambda f: f | {"transforms.json": f["transforms.json"][:-50]},
            "transforms.json is not valid JSON",
        ),
        ("no pictures", _no_pictures, r"lists 10 frames, and not one picture is there"),
        ("mirrored poses", _mirrored, r"two photos can be used; at least 3 are needed"),
    ],
)
def test_damaged_data_sets_are_named_errors(truth: Truth, tmp_path: Path, name: str, change, said: str) -> None:
    files = change(writers.nerfstudio_files(truth, shared=True))
    with pytest.raises(CaptureError, match=said):
        take(writers.store(files, tmp_path / "set"), tmp_path)


def test_zips_of_nothing_known_and_damaged_zips(truth: Truth, tmp_path: Path) -> None:
    some = writers.store({"a.jpg": writers.jpeg(truth.rgb[0])}, tmp_path / "photos.zip")
    with pytest.raises(CaptureError, match=r"photos\.zip is a zip, but of no capture app that is known\. Unpack it"):
        find_source(some)
    whole = writers.store(writers.record3d_files(truth), tmp_path / "walk.r3d").read_bytes()
    (tmp_path / "cut.r3d").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CaptureError, match=r"cut\.r3d is a damaged zip"):
        find_source(tmp_path / "cut.r3d")


def test_photos_beside_an_export_are_photos(truth: Truth, tmp_path: Path) -> None:
    album = {f"{i}.jpg": writers.jpeg(truth.rgb[i]) for i in range(3)}
    export = {f"old/{n}": d for n, d in writers.nerfstudio_files(truth, shared=True).items()}
    assert find_source(writers.store(album | export, tmp_path / "album"))[0] == "photos"
    assert find_source(writers.store(export, tmp_path / "export"))[0] == "nerfstudio"


def test_one_damaged_member_costs_one_frame(truth: Truth, tmp_path: Path) -> None:
    files = writers.record3d_files(truth)
    files["rgbd/3.jpg"] = files["rgbd/3.jpg"][:500]
    files["rgbd/5.depth"] = files["rgbd/5.depth"][:60]
    got = take(writers.store(files, tmp_path / "walk.r3d"), tmp_path)
    assert [r["file"] for r in got.refused] == [] or [r["file"] for r in got.refused] == ["3.jpg"]
    assert "3.jpg" not in [f.source for f in got.frames]
    five = next(f for f in got.frames if f.source == "5.jpg")
    assert five.depth is None and five.T_world_camera is not None


def test_poses_that_never_move_are_not_used(truth: Truth, tmp_path: Path) -> None:
    files = writers.record3d_files(truth)
    data = json.loads(files["metadata"])
    data["poses"] = [[0, 0, 0, 1, 0, 0, 0]] * truth.n
    got = take(writers.store(files | {"metadata": json.dumps(data).encode()}, tmp_path / "walk.r3d"), tmp_path)
    assert all(f.T_world_camera is None and f.lens is not None for f in got.frames) and got.device.up_world is None


CAPTURES = Path(__file__).parents[3].parent / "shared" / "captures"


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="no captures beside the repository")
def test_fox_names_the_frames_that_its_list_has_and_its_folder_has_not(tmp_path: Path) -> None:
    got = take(CAPTURES / "fox" / "transforms.json", tmp_path, max_side=480)
    listed = {Path(f["file_path"]).name for f in json.loads((CAPTURES / "fox" / "transforms.json").read_text())["frames"]}
    there = {p.name for p in (CAPTURES / "fox" / "images").iterdir()}
    assert len(got.frames) == 50 and {f.source for f in got.frames} == listed & there
    assert len(got.refused) == 17 and {r["file"] for r in got.refused} == listed - there
    assert got.frames[0].lens == pytest.approx(np.array([1375.52, 1374.49, 554.558, 965.268]) / 4, rel=1e-6)
    assert find_source(CAPTURES / "fox" / "images")[0] == "photos"
