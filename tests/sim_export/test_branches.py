"""Branches: one state, several futures, exactly labelled; and a value model that learns from them."""

import json

import numpy as np
import pytest

from phone2sim.cli import main
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.sim_export.branches import BranchConfig, ValueModel, branch
from phone2sim.sim_export.branches import run as branches_run
from phone2sim.sim_export.branches.chunks import draw_futures
from phone2sim.sim_export.branches.value import FEATURES, rank_table
from phone2sim.sim_export.episode import Episode, read_frames
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.pictures import SpecPictures
from tests.sim_export.scenes import cube_scene

RECIPE = """
extends: default
camera: {names: [front], width: 64, height: 64}
clutter: {count: 1}
task: {duration_s: 6, fps: 10, target: cube}
"""
CONFIG = BranchConfig(episodes=2, states=2, branches=5, horizon_s=0.8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("branches")
    cube_scene().save(root / "scene")
    (root / "r.yaml").write_text(RECIPE)
    generate(root / "scene", root / "d", GenerateConfig(recipe=str(root / "r.yaml"), episodes=2, seed=3))
    result = branch(root / "d", root / "b", CONFIG)
    rows = [json.loads(line) for line in (root / "b" / "branches.jsonl").read_text().splitlines()]
    return root, result, rows


def test_every_future_is_labelled(made):
    _, result, rows = made
    assert result["states"] == 4 and result["branches"] == len(rows) == 20
    assert len({r["branch_id"] for r in rows}) == 20 and result["successes"] == sum(r["success"] for r in rows)
    for r in rows:
        assert len(r["features"]) == len(FEATURES) and 0 <= r["value"] <= 1 and r["success"] == (r["reason"] == "")
        assert (r["value"] == 1) == r["success"]
        assert set(r["contacts"]) and max(r["contacts"].values()) <= 8
    assert any(r["contacts"]["cube"] for r in rows) and {r["success"] for r in rows} == {True, False}


def test_an_interrupted_run_goes_on_to_the_same_end(made, monkeypatch):
    root, result, _ = made
    calls = []
    state = branches_run._branch_state

    def interrupted(*args):
        calls.append(args[3])
        for k, row in enumerate(state(*args)):
            if len(calls) == 3 and k == 2:
                raise KeyboardInterrupt
            yield row

    monkeypatch.setattr(branches_run, "_branch_state", interrupted)
    with pytest.raises(KeyboardInterrupt):
        branch(root / "d", root / "again", CONFIG)
    assert not (root / "again").exists()
    with (root / ".again.partial" / "branches.jsonl").open("a") as f:
        f.write('{"cut": ')
    calls[:] = [0] * 9
    assert branch(root / "d", root / "again", CONFIG) == result and len(calls) == 9 + 2
    def files(name):
        return {p.relative_to(root / name): p.read_bytes() for p in (root / name).rglob("*") if p.is_file() and p.name != "meta.json"}

    assert files("again") == files("b") and not (root / ".again.partial").exists()


def test_the_recorded_future_is_the_episode_itself(made):
    """Played again from the recorded actions, the record's own states come out to the bit, and it succeeds as it did."""
    root, _, rows = made
    for r in rows:
        if r["kind"] == "recorded":
            assert r["success"]
            whole = Episode.read(root / "d" / "episodes" / r["episode"])
            chunk = Episode.read(root / "b" / r["episode"] / f"{r['frame']:04d}" / "0")
            part = slice(r["frame"], r["frame"] + len(chunk))
            for name in ("states", "actions", "object_poses", "robot_poses"):
                assert np.array_equal(getattr(chunk, name), getattr(whole, name)[part]), name


def test_branches_of_one_state_share_their_first_frame_to_the_bit(made):
    root, _, rows = made
    from phone2sim.assets.scene import Scene

    scene = Scene.load(root / "scene")
    for state in {(r["episode"], r["frame"]) for r in rows}:
        folder = root / "b" / state[0] / f"{state[1]:04d}"
        chunks = [Episode.read(folder / str(k)) for k in range(5)]
        first = [next(iter(read_frames(c.videos["front"]))).tobytes() for c in chunks]
        assert len(set(first)) == 1
        drawn = []
        for c in chunks:
            pictures = SpecPictures(scene, c.spec, c.robot_bodies)
            drawn.append(pictures.draw(c.object_poses[0], c.robot_poses[0], state[1])["front"].tobytes())
        assert len(set(drawn)) == 1
        ends = {c.states[-1].tobytes() + c.object_poses[-1].tobytes() for c in chunks}
        assert len(ends) >= 4
        assert len({c.spec.branch_id for c in chunks}) == 5


def test_more_branches_leave_the_first_ones_as_they_are(made):
    actions = Episode.read(next((made[0] / "d" / "episodes").iterdir())).actions
    few, many = (draw_futures(actions, 20, 8, n, Key(1).child("x"), fps=10) for n in (4, 9))
    for (kind, a), (other, b) in zip(few, many):
        assert kind == other and np.array_equal(a, b)
    assert np.array_equal(few[0][1], actions[20:])
    for kind, a in many[1:]:
        assert a.shape == actions[20:].shape and not np.array_equal(a, actions[20:]), kind
        if kind == "bump":
            assert np.allclose(a[9:], actions[29:])


def test_a_value_model_learns_what_progress_does_not_show(tmp_path):
    """Success depends on one feature alone; the ranking must find it, and survive saving."""
    rng = np.random.default_rng(0)

    def rows(n, first):
        out = []
        for i in range(n):
            x = rng.normal(size=len(FEATURES))
            good = bool(x[5] + 0.1 * rng.normal() > 0)
            out.append({"episode": f"{(first + i) // 12:03d}", "frame": (first + i) // 6, "success": good, "value": float(good),
                        "progress": [0, float(x[0]), 0], "features": x.tolist()})  # fmt: skip
        return out

    train, test = rows(480, 0), rows(120, 480)
    x, y = np.array([r["features"] for r in train]), np.array([r["value"] for r in train])
    model = ValueModel.fit(x, y)
    table = rank_table(test, model)
    assert table["model"]["pairs"] > 0.93 and 0.3 < table["progress"]["pairs"] < 0.7 and table["chance"]["pairs"] == 0.5
    model.save(tmp_path / "v.npz")
    again = ValueModel.load(tmp_path / "v.npz")
    np.testing.assert_array_equal(again(x), model(x))
    assert ((model(x) >= 0) & (model(x) <= 1)).all()
    np.testing.assert_array_equal(ValueModel.fit(x, y)(x), model(x))
    with pytest.raises(InputError, match="phone2sim branch DATASET"):
        ValueModel.load(tmp_path / "none.npz")


def test_the_command(made, tmp_path, capfd):
    args = ["branch", str(made[0] / "d"), "-n", "1", "--states", "1", "--branches", "2", "--no-pictures", "--json"]
    assert main([*args, "-o", str(tmp_path / "b")]) == 0
    assert json.loads(capfd.readouterr().out)["branches"] == 2
    assert not list((tmp_path / "b").glob("*/*/*.mp4"))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.txt").write_text("mine")
    assert main([*args, "-o", str(tmp_path / "x")]) == 2
    assert "is not empty" in capfd.readouterr().err
