"""The sample's world: closed objects of true volume that stand apart on the table, and pictures that agree with it."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from phone2sim import sheet
from phone2sim._native.mesh import to_srgb8
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import look_at
from phone2sim.sample import SampleConfig, make_scene
from phone2sim.sample.catalog import OBJECTS, make_object
from phone2sim.sample.layout import GAP_M
from phone2sim.sample.room import TABLE_PX_PER_M, table_picture

K = np.array([[620.0, 0, 240], [0, 620.0, 320], [0, 0, 1]])
SIZE = 480, 640


@pytest.fixture(scope="module")
def scene():
    return make_scene(SampleConfig(seed=1))


@pytest.fixture(scope="module")
def objects():
    return {name: make_object(name, Key(0).child(name)) for name in OBJECTS}


def solid(o):
    m = trimesh.Trimesh(o.shape.vertices, o.shape.faces, process=False)
    m.merge_vertices(merge_tex=True, merge_norm=True, digits_vertex=7)
    return m


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_closed_and_stand_on_their_origin(objects, name):
    o = objects[name]
    m = solid(o)
    assert m.is_watertight and m.is_winding_consistent and m.volume > 0
    assert abs(o.shape.vertices[:, 2].min()) < 1e-9
    foot = o.shape.vertices[o.shape.vertices[:, 2] < 1e-6, :2]
    np.testing.assert_allclose((foot.min(0) + foot.max(0)) / 2, 0, atol=1e-9)
    # the centre of mass lies above the footprint: it does not tip
    assert np.linalg.norm(m.center_mass[:2]) < np.linalg.norm(foot, axis=1).max()
    assert np.linalg.norm(o.shape.vertices[:, :2], axis=1).max() <= o.footprint_m + 1e-3
    assert 0.01 <= o.extents_m[2] <= 0.16 and 0.04 <= o.extents_m[:2].max() <= 0.18
    if o.flat_top_m is not None:
        top = o.shape.vertices[o.shape.vertices[:, 2] > o.extents_m[2] - 1e-6, :2]
        np.testing.assert_allclose(np.ptp(top, axis=0), o.flat_top_m, atol=0.004)
    np.testing.assert_allclose(np.linalg.norm(o.shape.normals, axis=1), 1, atol=1e-6)
    f = o.shape.faces
    v = o.shape.vertices
    outward = np.cross(v[f[:, 1]] - v[f[:, 0]], v[f[:, 2]] - v[f[:, 0]])
    assert ((outward * o.shape.normals[f].sum(1)).sum(1) > -1e-12).all()


def test_volumes_match_their_formulas(objects):
    r, flat = 0.032, 0.0006
    ball = 4 / 3 * np.pi * r**3 - np.pi * flat**2 * (3 * r - flat) / 3
    assert objects["ball"].volume_m3() == pytest.approx(ball, rel=0.01)
    assert objects["block"].volume_m3() == pytest.approx(0.048**3, rel=0.02)
    mug = objects["mug"]
    assert mug.volume_m3() < solid(mug).volume  # the handle's ends are counted once
    assert 0.2 < mug.volume_m3() / (np.pi * 0.0385**2 * 0.092) < 0.35  # hollow


def test_true_masses_are_those_of_their_materials(objects):
    from phone2sim.assets.materials import kind_of

    for name in ("plate", "bowl", "book", "sponge", "banana", "knife", "jar", "tin", "brick"):
        o = objects[name]
        found, of = kind_of(o.label)
        assert of is None and found.material == {"metal": "metal_can", "fruit": "food"}.get(o.material, o.material), name
        made, density = found.material_of(), o.mass_kg / o.volume_m3()
        if made.build == "container":  # full of what such things hold, in walls of their material
            low, high = made.content[0] * made.level[0], made.density[1]
        else:
            low, high = made.density[0] * made.fill[0], made.density[1]
        assert low <= density <= high, (name, density)


def gap_m(scene, a, b):
    from phone2sim.sample.layout import _manifold

    solids = []
    for name in (a, b):
        k = [o.name for o in scene.objects].index(name)
        s, m = scene.objects[k].shape, scene.T_world_object.matrix[k]
        solids.append(_manifold(replace(s, vertices=s.vertices @ m[:3, :3].T + m[:3, 3])))
    assert (solids[0] ^ solids[1]).volume() < 1e-9  # a cubic millimetre
    return solids[0].min_gap(solids[1], 0.2)


def test_touching_objects_touch_and_do_not_run_into_each_other():
    scene = make_scene(SampleConfig(layout="touching", sheet=False))
    pairs = {frozenset((c.first, c.second)) for c in scene.contacts}
    assert len(pairs) == 2 and all(c.kind == "touches" for c in scene.contacts)
    assert scene.spread == 1
    names = [o.name for o in scene.objects]
    for i, a in enumerate(names):
        for b in names[:i]:
            gap = gap_m(scene, a, b)
            assert gap < 0.0006 if frozenset((a, b)) in pairs else gap > 0.03, (a, b)


def test_a_stacked_object_stands_on_the_other(objects):
    names = ("book", "can", "plate", "knife")
    scene = make_scene(SampleConfig(layout="stacked", sheet=False, objects=names))
    (contact,) = scene.contacts
    assert (contact.kind, contact.first, contact.second) == ("stands_on", "can", "book")
    at = dict(zip(names, scene.T_world_object.translation))
    assert at["can"][2] == pytest.approx(objects["book"].extents_m[2])
    assert at["book"][2] == at["plate"][2] == at["knife"][2] == 0
    assert np.linalg.norm(at["can"][:2] - at["book"][:2]) < 0.04


def test_fifteen_objects_fit_and_the_camera_steps_back():
    from phone2sim.sample.clip import RADIUS_M, filming_distance

    scene = make_scene(SampleConfig(objects=tuple(OBJECTS)[:15]))
    assert 1 < scene.spread < 1.6 and RADIUS_M < filming_distance(scene) < 1.0
    xy = scene.T_world_object.translation[:, :2]
    r = np.array([o.footprint_m for o in scene.objects])
    gap = np.linalg.norm(xy[:, None] - xy[None], axis=2) - r[:, None] - r[None]
    gap[np.diag_indices(len(r))] = np.inf
    assert gap.min() > 0.02
    assert (np.abs(xy) + r[:, None] < [0.55, 0.40]).all()  # on the table


def test_objects_keep_their_distance(scene):
    xy = scene.T_world_object.translation[:, :2]
    r = np.array([o.footprint_m for o in scene.objects])
    gap = np.linalg.norm(xy[:, None] - xy[None], axis=2) - r[:, None] - r[None]
    gap[np.diag_indices(len(r))] = np.inf
    assert gap.min() >= GAP_M - 1e-9
    assert np.abs(scene.T_world_object.translation[:, 2]).max() == 0
    page = np.linalg.norm(scene.T_world_sheet.translation[:2] - xy, axis=1)
    assert (page > r + np.hypot(*sheet.PAGE_M) / 2).all()


def view(scene, eye):
    camera = look_at(eye, [0, 0, 0.03]).matrix
    return scene.view(K, camera, *SIZE, supersample=2), camera


def test_tags_are_found_where_the_truth_says(scene):
    import cv2

    zoom = K * [[2], [2], [1]] - [[0, 0, 240], [0, 0, 320], [0, 0, 0]]
    camera = look_at([0.3, -0.35, 0.62], scene.T_world_sheet.translation).matrix
    image = scene.view(zoom, camera, *SIZE)
    linear = np.clip(image.rgb.mean(-1) * 230, 0, 255).astype(np.uint8)  # sRGB would shift black-white edges
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    family = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    corners, ids, _ = cv2.aruco.ArucoDetector(family, parameters).detectMarkers(linear)
    assert set(ids.ravel()) == set(sheet.TAG_IDS)
    for c, i in zip(corners, ids.ravel()):
        world = scene.T_world_sheet.apply(sheet.corners()[int(i)])
        p = np.linalg.inv(camera) @ np.concatenate([world, np.ones((4, 1))], 1).T
        px = (zoom @ p[:3] / p[2])[:2].T - 0.5  # cv2 puts the centre of the first pixel at 0
        assert np.linalg.norm(c[0] - px, axis=1).max() < 0.5


def test_masks_agree_with_projected_meshes(scene):
    image, camera = view(scene, [0.1, -0.55, 0.6])
    ids = scene.instances(image)
    T = np.linalg.inv(camera)
    for k, o in enumerate(scene.objects):
        ys, xs = np.nonzero(ids == k + 1)
        assert len(xs) > 300, o.name
        p = o.shape.vertices @ scene.T_world_object.rotation[k].T + scene.T_world_object.translation[k]
        c = p @ T[:3, :3].T + T[:3, 3]
        px = c[:, :2] / c[:, 2:] * K[0, 0] + K[:2, 2]
        assert xs.min() >= px[:, 0].min() - 1 and xs.max() <= px[:, 0].max() + 1
        assert ys.min() >= px[:, 1].min() - 1 and ys.max() <= px[:, 1].max() + 1


def test_pictures_are_textured_everywhere_near_the_table(scene):
    import cv2

    image, _ = view(scene, [0.0, -0.6, 0.55])
    grey = cv2.cvtColor(to_srgb8(image.rgb), cv2.COLOR_RGB2GRAY)
    points = cv2.SIFT_create(nfeatures=4000).detect(grey, None)
    assert len(points) > 1500
    ids = scene.instances(image)
    on = np.array([ids[int(p.pt[1]), int(p.pt[0])] for p in points])
    for k, o in enumerate(scene.objects):
        assert (on == k + 1).sum() >= 5, o.name


def test_seeds_and_names(scene):
    other = make_scene(SampleConfig(seed=2, sheet=False))
    assert other.T_world_sheet is None
    assert not np.allclose(scene.T_world_object.translation, other.T_world_object.translation)
    assert (scene.objects[0].texture != other.objects[0].texture).any()
    with pytest.raises(InputError, match="make a stacked layout"):
        make_scene(SampleConfig(objects=("ball", "can"), layout="stacked"))
    with pytest.raises(InputError, match=r"No sample object 'mugg'; have ball, .*Did you mean mug\?"):
        make_scene(SampleConfig(objects=("mugg",)))


def test_tables_are_what_they_are_called():
    top = {k: table_picture(Key(0), k)[700:1400, 900:1900].astype(float).mean(axis=2) for k in ("terrazzo", "wood", "painted", "marble", "cloth")}
    assert top["painted"].std() < 9 < top["wood"].std() < top["terrazzo"].std()
    assert np.median(top["marble"]) > 210 and np.percentile(top["marble"], 0.5) < 185  # light, with veins
    shift = round(0.024 * TABLE_PX_PER_M)  # one period of the cloth
    alike = {k: np.corrcoef(a[:, :-shift].ravel(), a[:, shift:].ravel())[0, 1] for k, a in top.items()}
    assert alike["cloth"] > 0.7 > 0.3 > abs(alike["terrazzo"])
