"""`--pick` and `--box` through the whole stage and the command line, with geometry alone."""

import json

import numpy as np
import pytest
import synthetic

from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.assets.scene import Scene
from phone2sim.assets.segment import Rejected
from phone2sim.assets.segmenters import GeometricSegmenter, Surroundings, parse_pick, place
from phone2sim.cli import main
from phone2sim.errors import AssetError
from phone2sim.stage import fingerprint_files

CONFIG = AssetsConfig(view_side=320, photo_side=320, texture_px=128)


@pytest.fixture(scope="module")
def copied(built, truth, tmp_path_factory):
    return synthetic.write_scene_dir(truth, tmp_path_factory.mktemp("picked"))


def shown(truth, name, view):
    v, u = np.nonzero(truth.masks[view] == 1 + list(truth.meshes).index(name))
    return u, v


def nearest(scene, centre):
    return min(scene.assets, key=lambda a: np.linalg.norm(a.T_world_asset.translation[:2] - centre[:2]))


def test_only_the_object_pointed_at_and_it_is_the_same_as_among_all(built, copied, truth):
    u, v = shown(truth, "can", 6)
    result = build_assets(copied, CONFIG.model_copy(update={"picks": (f"{np.median(u)},{np.median(v)}@006",)}))
    scene, whole = Scene.load(copied), Scene.load(built[0])
    wanted = nearest(whole, truth.meshes["can"].centroid)
    assert [a.name for a in scene.assets] == [wanted.name]
    assert np.array_equal(scene.assets[0].visual.vertices, wanted.visual.vertices)
    others = sum(len(a.splat.means) for a in whole.assets if a.name != wanted.name)
    assert (scene.background.means[:, 2] > 0.015).sum() > 0.5 * others  # what was not wanted stays in the background
    masks = result.folder / "masks"
    assert {p.name for p in masks.iterdir()} == {p.name for p in (built[1].folder / "masks").iterdir()}


@pytest.mark.slow
def test_the_command_line_picks_by_box(copied, truth, capfd):
    u, v = shown(truth, "box", 3)
    code = main(["assets", str(copied), "--box", f"{u.min()},{v.min()},{u.max()},{v.max()}@003.png", "--json"])
    got = json.loads(capfd.readouterr().out)
    assert code == 0 and len(got["assets"]) == 1
    place_of = np.array(got["assets"][0]["T_world_asset"]["translation"])
    assert np.linalg.norm(place_of[:2] - truth.meshes["box"].centroid[:2]) < 0.02
    before = fingerprint_files(copied / "scene")
    assert main(["assets", str(copied), "--pick", "2,2@003", "--quiet"]) == 2
    assert "points at no object. That picture shows object_1" in " ".join(capfd.readouterr().err.split())
    assert fingerprint_files(copied / "scene") == before


def test_what_cannot_be_used_is_said_before_anything_runs(copied, tmp_path, capfd, monkeypatch):
    import importlib.util

    def says(*options):
        code = main(["assets", str(copied), *options])
        return code, " ".join(capfd.readouterr().err.split())

    assert says("--pick", "here") == (2, says("--pick", "here")[1]) and "Write x,y@frame" in says("--pick", "here")[1]
    assert "no picture 'x'" in says("--pick", "1,1@x")[1]
    code, text = says("--sam-checkpoint", str(tmp_path / "a.pth"))
    assert code == 2 and "of use with --segmenter sam only" in text
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "segment_anything" else real(n, *a))
    code, text = says("--segmenter", "sam")
    assert code == 3 and "pip install 'phone2sim[sam]'" in text


def test_settings_of_the_default_are_what_they_were_before_there_was_a_choice():
    later = {"segmenter", "sam_model", "sam_checkpoint", "classifier", "clip_model", "picks", "boxes", "empty"}
    assert set(AssetsConfig().settings()) == set(AssetsConfig.model_fields) - later
    assert set(AssetsConfig(segmenter="sam").settings()) & later == {"segmenter"}
    assert AssetsConfig(sam_model="vit_h").settings() == AssetsConfig().settings()
    assert AssetsConfig(picks=("1,2@3",)).settings()["picks"] == ["1,2@3"]


def test_pointing_at_something_refused_makes_it_an_object(truth, tmp_path):
    from phone2sim.assets.lift import find_objects

    found = find_objects(truth.views)
    around = Surroundings(level=0.0, clear_m=found.clear_m, cell=found.cell)
    u, v = shown(truth, "ball", 5)
    prompt = place(parse_pick(f"{np.median(u)},{np.median(v)}@005"), truth.cameras, truth.views, tmp_path)
    gaps = [np.linalg.norm(c.points.mean(axis=0) - truth.meshes["ball"].centroid) for c in found.clusters]
    ball = found.clusters[int(np.argmin(gaps))]
    rest = [c for c in found.clusters if c is not ball]
    for reason, count in (("too small", 3), ("not on the support", 2)):
        centre, extents = ball.points.mean(axis=0), np.ptp(ball.points, axis=0)
        doubt = Rejected(reason=reason, centre=centre, extents=extents, points=ball.points)
        clusters, refused = GeometricSegmenter().pointed([prompt], rest, [doubt], truth.views, around)
        assert len(clusters) == count and len(refused) == 3 - count
    clusters, refused = GeometricSegmenter().pointed([prompt], found.clusters, [], truth.views, around)
    assert clusters == found.clusters


def test_a_pick_beside_everything_names_what_there_is(copied):
    with pytest.raises(AssetError, match="points at no object"):
        build_assets(copied, CONFIG.model_copy(update={"picks": ("2,2@000",)}))
