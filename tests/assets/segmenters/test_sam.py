"""Prompting, choosing and fusing with predictors that know the truth, and with one that is always wrong."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import synthetic
import trimesh
from perfect import Babbler, PerfectGenerator, PerfectPredictor, overlap
from PIL import Image

from phone2sim.assets.lift import close_bodies, find_objects
from phone2sim.assets.segment import Cluster
from phone2sim.assets.segmenters import Proposals, Surroundings, parse_box, parse_pick, place
from phone2sim.assets.segmenters.sam import SamSegmenter, compose, deep_points, prompt_for
from phone2sim.assets.segmenters.votes import ABSTAIN, fuse
from phone2sim.images import read_rgb

CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures"


def capture(name):
    folder = CAPTURES / name
    if not folder.is_dir():
        pytest.skip(f"capture {name} is not here")
    pictures, masks = [], []
    for file in sorted((folder / "images").iterdir()):
        mask = np.asarray(Image.open(folder / "masks" / f"{file.stem}.png"))
        mask = mask[..., 3] if mask.ndim == 3 else mask
        photo = read_rgb(file)
        if mask.shape != photo.shape[:2]:
            mask = cv2.resize(mask, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        pictures.append(photo)
        masks.append((mask > 127).astype(np.uint8))
    return pictures, masks


def rough(mask):
    """A silhouette as geometry would give it: smaller, shifted, jagged, with a piece missing."""
    small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_NEAREST)
    small = np.roll(cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), (2, -2), (0, 1))
    v, u = np.nonzero(small)
    small[: v.min() + (v.max() - v.min()) // 8] = 0
    return small


@pytest.mark.parametrize("name", ["espresso-machine", "twist-toy"])
@pytest.mark.parametrize("automatic", [False, True])
def test_true_masks_of_real_captures_are_chosen_from_rough_silhouettes(name, automatic):
    pictures, masks = capture(name)
    generator = PerfectGenerator(pictures, masks) if automatic else None
    segmenter = SamSegmenter(PerfectPredictor(pictures, masks), generator=generator)
    for i, (photo, mask) in enumerate(zip(pictures, masks)):
        ids = rough(mask)
        before = overlap(cv2.resize(ids, mask.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0, mask > 0)
        got = segmenter.refine(photo, ids, name=str(i))
        assert got.shape == mask.shape and before < 0.95
        assert overlap(got == 1, mask > 0) > 0.999


def test_prompts_lie_inside_their_object_and_outside_its_neighbours():
    ids = np.zeros((100, 160), np.uint8)
    ids[20:80, 20:70] = 1
    ids[30:70, 71:95] = 2
    ids[2:6, 150:158] = 3
    ids[40:60, 30:50] = 0  # a hole
    box, points, labels = prompt_for(ids, 1)
    assert (box[:2] <= [20, 20]).all() and (box[2:] >= [70, 80]).all() and (box >= 0).all()
    assert all(ids[int(y), int(x)] == 1 for x, y in points[labels == 1])
    assert all(ids[int(y), int(x)] not in (0, 1) for x, y in points[labels == 0])
    inside = deep_points(ids == 1, 3)
    gaps = np.linalg.norm(inside[:, None] - inside, axis=-1)
    assert len(inside) >= 2 and gaps[np.triu_indices(len(inside), 1)].min() > 8


def test_overlapping_masks_go_to_the_one_whose_silhouette_it_is_and_silhouettes_without_a_mask_abstain():
    ids = np.zeros((40, 60), np.uint8)
    ids[5:30, 5:25], ids[5:30, 25:45], ids[32:38, 50:58] = 1, 2, 3
    one, two = np.zeros((2, 40, 60), bool)
    one[5:30, 5:30] = True
    two[5:30, 20:45] = True
    out = compose(ids, {1: (0.8, one), 2: (0.7, two)})
    assert (out[5:30, 5:25] == 1).all() and (out[5:30, 25:45] == 2).all()
    assert (out[32:38, 50:58] == ABSTAIN).all() and out[39, 0] == 0


@pytest.fixture(scope="module")
def table(truth):
    """A labelled splat of the synthetic table with its proposals spoilt, and the true labels."""
    cloud = synthetic.splat(truth)
    meshes = list(truth.meshes.values())
    true = np.zeros(len(cloud), int)
    for k, m in enumerate(meshes, start=1):
        near = ((cloud.means > m.bounds[0] - 0.003) & (cloud.means < m.bounds[1] + 0.003)).all(axis=1)
        true[near & (cloud.means[:, 2] > 0.004)] = k
    labels = true.copy()
    means = cloud.means
    labels[(true == 1) & (means[:, 2] > 0.045)] = 2  # the upper half of the box belongs to the can
    labels[(true == 3) & (means[:, 0] > 0.045)] = 0  # nearly half of the ball to nobody
    boxes = [m.bounds + [[-0.02] * 3, [0.02] * 3] for m in meshes]
    return Proposals(cloud=cloud, labels=labels, boxes=boxes, floor_z=0.004), true


def test_votes_of_true_pictures_mend_spoilt_labels(truth, table):
    proposals, true = table
    labels = fuse(proposals, truth.views, truth.masks)
    assert (proposals.labels != true).sum() > 500
    assert (labels != true).mean() < 0.1 * (proposals.labels != true).mean()
    assert (labels[proposals.cloud.means[:, 2] < 0.002] == 0).all()


def test_votes_without_a_majority_change_nothing(truth, table):
    proposals, _ = table
    blank = [np.full(m.shape, ABSTAIN, np.uint8) for m in truth.masks]
    assert np.array_equal(fuse(proposals, truth.views, blank), proposals.labels)
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 4, m.shape).astype(np.uint8) for m in truth.masks]
    assert (fuse(proposals, truth.views, noise) != proposals.labels).mean() < 0.01
    assert np.array_equal(fuse(proposals, [], []), proposals.labels)


def bodies_with(truth, predictor, generator=None):
    found = find_objects(truth.views)
    cloud = synthetic.splat(truth)
    segmenter = None if predictor is None else SamSegmenter(predictor, generator=generator)
    return close_bodies(cloud, found, truth.views, max_views=len(truth.views), segmenter=segmenter)


def scores(truth, masks):
    """Intersection over union per view and object, at the best naming of the objects."""
    out = []
    for k in range(1, len(truth.meshes) + 1):
        votes = np.bincount(np.concatenate([m[t == k] for m, t in zip(masks, truth.masks)]), minlength=2)
        j = 1 + int(np.argmax(votes[1:]))
        out.append([overlap(m == j, t == k) for m, t in zip(masks, truth.masks)])
    return np.array(out)


@pytest.fixture(scope="module")
def geometric(truth):
    return bodies_with(truth, None)


def test_masks_of_a_perfect_predictor_stay_perfect_after_fusing(truth, geometric):
    photos = [v.photo for v in truth.views]
    predictor = PerfectPredictor(photos, truth.masks)
    got = scores(truth, bodies_with(truth, predictor).masks)
    before = scores(truth, geometric.masks)
    assert got.mean() > 0.985 and got.min() > 0.95 and before.mean() < 0.95
    assert predictor.looked == len(photos)  # once each, though they are asked twice
    assert all((a["labels"] == 1).any() and a["box"] is not None for a in predictor.asked)


def test_a_predictor_that_is_always_wrong_leaves_geometry_its_word(truth, geometric):
    got = bodies_with(truth, Babbler([v.photo for v in truth.views], truth.masks))
    assert np.array_equal(got.labels, geometric.labels) and np.array_equal(got.masks, geometric.masks)


def two_touching():
    """Two boxes side by side without a gap: one cluster for geometry."""
    a = trimesh.creation.box((0.08, 0.07, 0.06))
    a.apply_translation([-0.04, 0.0, 0.03])
    b = trimesh.creation.box((0.06, 0.07, 0.09))
    b.apply_translation([0.03, 0.0, 0.045])
    return {"low": a, "tall": b}


@pytest.mark.parametrize("box", [False, True])
def test_pointing_at_one_of_two_touching_things_cuts_it_off(monkeypatch, tmp_path, box):
    monkeypatch.setattr(synthetic, "bodies", two_touching)
    truth = synthetic.raycast()
    found = find_objects(truth.views)
    joined = Cluster(points=np.concatenate([c.points for c in found.clusters]), views=20)
    around = Surroundings(level=found.support.surface.height_m, clear_m=found.clear_m, cell=found.cell)
    v, u = np.nonzero(truth.masks[4] == 2)
    text = f"{u.min()},{v.min()},{u.max() + 1},{v.max() + 1}@004" if box else f"{np.median(u)},{np.median(v)}@004"
    prompt = place((parse_box if box else parse_pick)(text), truth.cameras, truth.views, tmp_path)
    segmenter = SamSegmenter(PerfectPredictor([v.photo for v in truth.views], truth.masks))
    clusters, _ = segmenter.pointed([prompt], [joined], found.refused, truth.views, around)
    assert len(clusters) == 2
    for cluster, mesh in zip(clusters, truth.meshes.values()):
        gap = np.abs(cluster.bounds - mesh.bounds)
        gap[0, 2] = 0  # clusters begin at the clearance
        assert gap.max() < 0.012
    again, _ = segmenter.pointed([prompt], clusters, [], truth.views, around)
    assert len(again) == 2  # now geometry sees the same


def test_what_nobody_can_follow_falls_back_on_geometry(truth, tmp_path):
    found = find_objects(truth.views)
    around = Surroundings(level=found.support.surface.height_m, clear_m=found.clear_m, cell=found.cell)
    v, u = np.nonzero(truth.masks[4] == 2)
    prompt = place(parse_pick(f"{np.median(u)},{np.median(v)}@004"), truth.cameras, truth.views, tmp_path)
    segmenter = SamSegmenter(Babbler([v.photo for v in truth.views], truth.masks))
    clusters, _ = segmenter.pointed([prompt], found.clusters, found.refused, truth.views, around)
    assert len(clusters) == len(found.clusters) and all(a is b for a, b in zip(clusters, found.clusters))


class Second(PerfectPredictor):
    """Keeps what it saw of a picture under the names of SAM 2's picture predictor, and counts how often it looked."""

    def set_image(self, image: np.ndarray) -> None:
        self.looked += 1
        self._features, self._orig_hw, self._is_image_set = image.copy(), [image.shape[:2]], True

    def predict(self, point_coords=None, point_labels=None, box=None, multimask_output=True):
        assert self._is_image_set and self._orig_hw == [self._features.shape[:2]]
        self.features = self._features.tobytes()
        masks, *rest = super().predict(point_coords, point_labels, box, multimask_output)
        del self.features
        return masks.astype(np.float32), *rest


def test_a_predictor_like_sam_2_is_a_segmenter_too_and_looks_once_at_each_picture():
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (80, 100, 3), np.uint8) for _ in range(2)]
    masks = [np.zeros((80, 100), np.uint8) for _ in pictures]
    masks[0][20:60, 30:70] = 1
    masks[1][10:40, 50:90] = 1
    predictor = Second(pictures, masks)
    segmenter = SamSegmenter(predictor)
    for i in (0, 1, 0, 1):
        assert overlap(segmenter.refine(pictures[i], masks[i], name=str(i)) == 1, masks[i] > 0) > 0.999
    assert predictor.looked == 2
