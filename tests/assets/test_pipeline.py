"""The whole assets stage on the synthetic table: what is found, how it stands, what survives a rebuild."""

import shutil

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from phone2sim.assets.pipeline import AssetsConfig, build_assets
from phone2sim.assets.scene import Scene
from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError

CONFIG = AssetsConfig(view_side=320, photo_side=320, texture_px=128)


def partner(asset, truth):
    """Index and mesh of the true body that an asset stands for."""
    names = list(truth.meshes)
    gaps = [np.linalg.norm(truth.meshes[n].centroid[:2] - asset.T_world_asset.translation[:2]) for n in names]
    return int(np.argmin(gaps)), truth.meshes[names[int(np.argmin(gaps))]]


def test_every_object_with_its_size_and_place(built, truth):
    scene = Scene.load(built[0])
    assert len(scene.assets) == 3 and len({partner(a, truth)[0] for a in scene.assets}) == 3
    for a in scene.assets:
        _, mesh = partner(a, truth)
        v = a.T_world_asset.apply(a.visual.vertices)
        assert np.linalg.norm((v.min(0) + v.max(0)) / 2 - mesh.bounds.mean(0)) < 0.01
        assert np.abs(np.ptp(v, axis=0) - mesh.extents).max() < 0.008


def test_assets_are_closed_stand_on_their_origin_and_have_convex_hulls(built):
    for a in Scene.load(built[0]).assets:
        m = a.visual.welded()
        assert m.is_watertight and m.volume > 0 and len(a.visual.faces) <= CONFIG.faces
        assert a.volume_m3 == pytest.approx(m.volume, rel=0.02)
        assert a.visual.bounds[0, 2] == pytest.approx(0, abs=2e-4)
        assert min(h.bounds[0, 2] for h in a.hulls) == pytest.approx(0, abs=2e-4)
        assert all(h.welded().is_convex for h in a.hulls)
        assert (np.abs(a.visual.bounds.mean(0)[:2]) < 0.01).all()
        w, _ = a.inertia.principal()
        assert w[0] > 0 and w[2] <= w[0] + w[1]
        gap = cKDTree(trimesh.sample.sample_surface(m, 4000, seed=0)[0]).query(a.splat.means)[0]
        assert len(a.splat) > 50 and np.median(gap) < 0.004  # its own Gaussians came along, into its own frame
        assert a.mass_kg.low < a.mass_kg.value < a.mass_kg.high and 0.5 < a.seen_fraction <= 1


def test_masks_cover_the_objects(built, truth):
    folder, _ = built
    for k, a in enumerate(Scene.load(folder).assets, start=1):
        true_id = partner(a, truth)[0] + 1
        got = [np.asarray(Image.open(folder / "scene" / "masks" / v.name)) == k for v in truth.views]
        want = [m == true_id for m in truth.masks]
        assert sum((g & w).sum() for g, w in zip(got, want)) / sum((g | w).sum() for g, w in zip(got, want)) > 0.8


def test_texture_has_the_object_colour(built, truth):
    from synthetic import albedo

    for a in Scene.load(built[0]).assets:
        part = partner(a, truth)[0] + 1
        h, w = a.visual.texture.shape[:2]
        f = a.visual.faces
        middle = a.visual.vertices[f].mean(1)
        uv = a.visual.uv[f].mean(1)
        side = (middle[:, 2] > 0.25 * middle[:, 2].max()) & (a.visual.welded().area > 0)
        got = a.visual.texture[np.minimum(((1 - uv[side, 1]) * h).astype(int), h - 1), np.minimum((uv[side, 0] * w).astype(int), w - 1)]
        want = albedo(a.T_world_asset.apply(middle[side]), part)
        assert np.median(np.abs(got / 255.0 - want)) < 0.07


def test_background_has_no_objects_and_the_table_is_filled(built, truth):
    from synthetic import albedo

    from phone2sim.reconstruct.splat.rasterize import rasterize

    scene = Scene.load(built[0])
    z = scene.background.means[:, 2]
    inside = (np.abs(scene.background.means[:, :2]) < [0.3, 0.25]).all(1)
    assert z[inside].max() < 0.012
    view = truth.views[1]
    h, w = view.depth.shape
    rgb = rasterize(scene.background, K=view.K, T_camera_world=view.T_camera_world, width=w, height=h).rgb
    for mesh in truth.meshes.values():
        p = np.array([[*mesh.centroid[:2], 0.0]])
        u, v, _ = view.project(p)
        got = rgb[int(v[0]) - 2 : int(v[0]) + 3, int(u[0]) - 2 : int(u[0]) + 3].reshape(-1, 3).mean(0)
        assert np.abs(got - albedo(p, 0)[0]).max() < 0.3


def test_save_and_load_round_trip(built, tmp_path):
    scene = Scene.load(built[0])
    scene.save(tmp_path)
    again = Scene.load(tmp_path)
    assert [a.name for a in again.assets] == [a.name for a in scene.assets]
    for a, b in zip(scene.assets, again.assets):
        assert np.array_equal(a.visual.vertices, b.visual.vertices) and np.array_equal(a.visual.texture, b.visual.texture)
        assert np.allclose(a.visual.uv, b.visual.uv, atol=1e-6) and a.mass_kg == b.mass_kg
        assert len(a.hulls) == len(b.hulls) and np.array_equal(a.splat.means, b.splat.means)
    assert np.array_equal(scene.supports[0].outline, again.supports[0].outline)


def test_rerun_skips_and_result_is_the_same_bytes_with_any_number_of_workers(built, truth, tmp_path, monkeypatch):
    import os

    import synthetic

    from phone2sim.stage import fingerprint_files

    folder, result = built
    assert build_assets(folder, CONFIG).skipped
    workers = 1 if os.cpu_count() != 1 else 3
    monkeypatch.setattr(os, "cpu_count", lambda: workers)
    other = build_assets(synthetic.write_scene_dir(truth, tmp_path), CONFIG)
    for part in ("scene.json", "object_1", "object_2", "object_3", "background", "masks", "preview"):
        assert fingerprint_files(result.folder / part) == fingerprint_files(other.folder / part)


def test_manifest_describes_the_assets(built):
    rows = built[1].manifest["result"]["assets"]
    for row in rows:
        assert set(row) >= {"name", "mass_kg", "volume_m3", "extents_m", "T_world_asset", "visual", "hulls"}
        assert (built[1].folder / row["visual"]).exists() and all((built[1].folder / h).exists() for h in row["hulls"])
        assert (built[1].folder / "preview" / f"{row['name']}.png").exists()
    assert (built[1].folder / "preview" / "background.png").exists()


def test_dropped_objects_come_to_rest(built):
    import mujoco

    for a in Scene.load(built[0]).assets:
        spec = mujoco.MjSpec()
        spec.option.timestep = 0.002
        spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1], condim=6, friction=[0.6, 0.005, 0.0005])
        body = spec.worldbody.add_body(name="b", pos=[0, 0, 0.001])
        body.add_freejoint()
        for i, h in enumerate(a.hulls):
            spec.add_mesh(name=f"h{i}", uservert=h.vertices.ravel().tolist(), userface=h.faces.ravel().tolist())
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"h{i}", condim=6, friction=[0.6, 0.005, 0.0005], mass=0)
        w, q = a.inertia.principal()
        body.explicitinertial, body.mass, body.ipos, body.inertia, body.iquat = True, a.mass_kg.value, a.inertia.center_of_mass, w, q
        model = spec.compile()
        data = mujoco.MjData(model)
        for _ in range(1000):
            mujoco.mj_step(model, data)
        assert np.linalg.norm(data.qvel) < 0.02, a.name
        assert np.linalg.norm(data.qpos[:3]) < 0.005, a.name


def test_user_overrides_win(truth, tmp_path):
    import synthetic

    folder = synthetic.write_scene_dir(truth, tmp_path)
    (folder / "assets.toml").write_text(
        '[object_1]\nname = "tea"\nmaterial = "cardboard"\n[object_2]\nmass_kg = 0.4\nfriction = [0.5, 0.6]\n[object_3]\ndrop = true\n'
        '[table]\nmaterial = "wood"\n'
    )
    build_assets(folder, CONFIG)
    scene = Scene.load(folder)
    assert [a.name for a in scene.assets] == ["tea", "object_2"]
    assert scene.supports[0].material == "wood" and "cardboard on wood" in scene.asset("tea").friction.why
    inside = (np.abs(scene.background.means[:, :2]) < [0.3, 0.25]).all(1)
    assert scene.background.means[inside, 2].max() < 0.012  # what was dropped is nowhere
    tea = scene.asset("tea").inertia
    assert (tea.center_low < tea.center_high).all() and (tea.moments_low <= tea.moments).all() and tea.why
    assert scene.asset("tea").stiffness_pa.low >= 1e8
    assert scene.asset("tea").material == "cardboard" and scene.asset("tea").mass_kg.high < 0.2
    other = scene.asset("object_2")
    assert (other.mass_kg.low, other.mass_kg.high) == (0.4, 0.4) and other.friction.low == 0.5
    w, _ = other.inertia.principal()
    assert w[2] < 0.4 * 0.12**2


def test_edits_follow_their_object_when_a_rebuild_counts_anew_and_what_is_fixed_is_solid(built, truth, tmp_path):
    import synthetic

    whole = Scene.load(built[0])
    folder = synthetic.write_scene_dir(truth, tmp_path)
    shutil.copytree(built[0] / "scene", folder / "scene")
    path = folder / "scene" / "manifest.json"
    manifest = read_json(path)
    order = {"object_1": "object_2", "object_2": "object_3", "object_3": "object_1"}  # an earlier build had counted so
    manifest["result"]["objects"] = [r | {"name": order[r["name"]]} for r in manifest["result"]["objects"]]
    write_json(path, manifest)
    (folder / "assets.toml").write_text('[object_2]\nname = "mine"\n[object_1]\nmovable = false\n')
    again = build_assets(folder, CONFIG)
    scene = Scene.load(folder)
    assert [a.name for a in scene.assets] == ["mine", "object_3"]
    for name, before in (("mine", "object_1"), ("object_3", "object_2")):
        assert np.allclose(scene.asset(name).T_world_asset.matrix, whole.asset(before).T_world_asset.matrix)
    assert {r["name"] for r in again.manifest["result"]["objects"]} == {"object_1", "object_2", "object_3"}
    fixed = whole.asset("object_3")
    v = fixed.T_world_asset.apply(fixed.visual.vertices)
    (solid,) = scene.uprights
    assert solid.name == "object_1" and np.abs(solid.corners().max(0) - v.max(0)).max() < 0.004
    inside = (scene.background.means > v.min(0)).all(1) & (scene.background.means < v.max(0)).all(1)
    assert inside.sum() > 0.5 * len(fixed.splat)  # it is still seen


def test_no_support_gives_a_background_only_scene(truth, tmp_path):
    import synthetic

    folder = synthetic.write_scene_dir(truth, tmp_path, support=False)
    result = build_assets(folder, CONFIG)
    scene = Scene.load(folder)
    assert scene.assets == () and scene.supports == () and len(scene.background) > 1000
    assert "no support plane found" in scene.notes[0] and result.manifest["result"]["assets"] == []
    assert scene.validity["radius_m"][0] < 0.62 < scene.validity["radius_m"][1]


def test_missing_stage_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no finished capture/ stage"):
        build_assets(tmp_path)
    write_json(tmp_path / "capture" / "manifest.json", {"fingerprint": "x"})
    with pytest.raises(InputError, match="no finished cameras/ stage"):
        build_assets(tmp_path)
    assert read_json(tmp_path / "capture" / "manifest.json") == {"fingerprint": "x"}
