"""The real packages, `segment-anything` and SAM 2's: untrained models saved, loaded, prompted and run automatically."""

import sys
from functools import partial

import numpy as np
import pytest
import synthetic

from phone2sim.assets.lift import close_bodies, find_objects
from phone2sim.assets.segmenters import open_segmenter
from phone2sim.assets.segmenters.weights import build, build_second, load_sam
from phone2sim.errors import InputError

torch = pytest.importorskip("torch", reason="torch is not installed")


def _nms(boxes, scores, threshold):
    """Greedy non-maximum suppression, for a torchvision whose compiled operators are missing."""
    keep, order = [], torch.argsort(scores, descending=True)
    while len(order):
        i, order = order[0], order[1:]
        keep.append(i)
        low = torch.maximum(boxes[i, :2], boxes[order, :2])
        high = torch.minimum(boxes[i, 2:], boxes[order, 2:])
        both = (high - low).clamp(min=0).prod(dim=1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
        order = order[both / (area[i] + area[order] - both) <= threshold]
    return torch.stack(keep) if keep else torch.zeros(0, dtype=torch.long)


try:
    import torchvision
except ImportError:
    pytest.skip("torchvision is not installed", allow_module_level=True)
except RuntimeError:  # its operators are compiled for another torch: those that the package needs are put in their place
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    from torch import library as operators

    declared = operators.Library("torchvision", "FRAGMENT")
    declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    declared.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    declared.impl("nms", _nms, "CPU")
    import torchvision.extension

    torchvision.extension._has_ops = lambda: True
pytest.importorskip("segment_anything", reason="segment-anything is not installed; tests/side/sam_check.sh has it")


def small_sam(width=32, depth=3, grid=8, window=4, channels=16):
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    torch.manual_seed(7)
    size = 16 * grid
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=size, patch_size=16, embed_dim=width, depth=depth, num_heads=4, mlp_ratio=4, out_chans=channels, qkv_bias=True,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=window, global_attn_indexes=(1,),
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=channels, image_embedding_size=(grid, grid), input_image_size=(size, size), mask_in_chans=8
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3, transformer=TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=48, num_heads=8),
            transformer_dim=channels, iou_head_depth=3, iou_head_hidden_dim=24,
        ),
        pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375],
    ).eval()  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path):
    sam = small_sam()
    torch.save(sam.state_dict(), tmp_path / "small.pth")
    return tmp_path / "small.pth", sam


def test_a_saved_model_predicts_as_before(checkpoint):
    from segment_anything import SamPredictor

    file, sam = checkpoint
    loaded = load_sam(checkpoint=file)
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    prompt = {"point_coords": np.array([[40.0, 30.0], [5.0, 5.0]]), "point_labels": np.array([1, 0]), "box": np.array([20, 10, 70, 60.0])}
    results = []
    for model in (sam, loaded):
        predictor = SamPredictor(model)
        predictor.set_image(photo)
        results.append(predictor.predict(**prompt, return_logits=True))
    assert results[0][0].shape == (3, 90, 120)
    assert all(np.array_equal(a, b) for a, b in zip(*results))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_b", "vit_l"])
def test_published_sizes_are_recognised_from_their_tensors(name):
    from segment_anything import sam_model_registry

    with torch.device("meta"):
        state = sam_model_registry[name]().state_dict()
        again = build(state).state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in again.items()}


def test_files_that_hold_no_model(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text.pth cannot be loaded as weights"):
        load_sam(checkpoint=tmp_path / "text.pth")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="other.pth is no Segment Anything model"):
        load_sam(checkpoint=tmp_path / "other.pth")
    state = small_sam().state_dict()
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(InputError, match="part.pth is no Segment Anything model"):
        load_sam(checkpoint=tmp_path / "part.pth")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sam", "sam-automatic"])
def test_untrained_weights_leave_the_objects_as_geometry_sees_them(checkpoint, truth, name):
    segmenter = open_segmenter(name, checkpoint=str(checkpoint[0]))
    assert segmenter.name == name
    cloud = synthetic.splat(truth)
    plain = close_bodies(cloud, find_objects(truth.views), truth.views, max_views=6)
    got = close_bodies(cloud, find_objects(truth.views), truth.views, max_views=6, segmenter=segmenter)
    same = [np.mean(a == b) for a, b in zip(got.masks, plain.masks)]
    assert len(got.solids) == 3 and min(same) > 0.97


def test_a_remembered_picture_is_prompted_as_the_first_time(checkpoint):
    segmenter = open_segmenter("sam", checkpoint=str(checkpoint[0]))
    rng = np.random.default_rng(2)
    photos = [rng.integers(0, 256, (60, 80, 3), np.uint8) for _ in range(2)]
    ids = np.zeros((60, 80), np.uint8)
    ids[20:40, 20:50] = 1
    first = [segmenter.refine(p, ids, name=str(i)) for i, p in enumerate(photos)]
    asked = []
    segmenter._predictor.model.image_encoder.register_forward_hook(lambda *a: asked.append(1))
    again = [segmenter.refine(p, ids, name=str(i)) for i, p in enumerate(photos)]
    assert not asked and all(np.array_equal(a, b) for a, b in zip(first, again))


def test_the_automatic_generator_is_the_packages_own(checkpoint):
    from segment_anything import SamAutomaticMaskGenerator

    generator = SamAutomaticMaskGenerator(
        load_sam(checkpoint=checkpoint[0]), points_per_side=4, pred_iou_thresh=-9, stability_score_thresh=0, box_nms_thresh=0.9
    )
    photo = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    rows = generator.generate(photo)
    assert all(r["segmentation"].shape == (60, 80) for r in rows)
    from phone2sim.assets.segmenters.sam import SamSegmenter

    ids = np.zeros((60, 80), np.uint8)
    largest = max(rows, key=lambda r: r["area"])
    ids[largest["segmentation"]] = 1
    got = SamSegmenter(None, generator=generator).refine(photo, ids, name="0")
    assert largest["area"] >= 30 and np.array_equal(got == 1, ids == 1)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """SAM 2's smallest model, untrained, and its checkpoint as Meta's are made."""
    pytest.importorskip("sam2", reason="sam2 is not installed; tests/side/sam_check.sh has it")
    from sam2.build_sam import build_sam2

    torch.manual_seed(7)
    sam = build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu")
    file = tmp_path_factory.mktemp("sam2") / "untrained.pt"
    torch.save({"model": sam.state_dict()}, file)
    return file, sam


def test_sam_2_predicts_as_before_it_was_saved_and_remembers_pictures(second):
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    file, sam = second
    photo = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    ids = np.zeros((90, 120), np.uint8)
    ids[10:60, 20:70] = 1
    predictor = SAM2ImagePredictor(sam)
    predictor.set_image(photo)
    wanted, scores, _ = predictor.predict(box=np.array([19, 9, 71, 61.0]), multimask_output=True)
    segmenter = open_segmenter("sam", checkpoint=str(file))
    segmenter._look(photo, "0")
    asked = []
    segmenter._predictor.model.image_encoder.register_forward_hook(lambda *a: asked.append(1))
    masks, got = segmenter._ask(np.array([19, 9, 71, 61.0]), np.zeros((0, 2)), np.zeros(0, int))
    assert masks.shape == (3, 90, 120) and np.array_equal(masks, wanted > 0) and np.array_equal(got, scores)
    for _ in range(2):
        assert segmenter.refine(photo, ids, name="0").shape == ids.shape
    assert not asked


@pytest.mark.slow
@pytest.mark.parametrize("size", ["t", "s", "b+", "l"])
@pytest.mark.parametrize("version", ["sam2", "sam2.1"])
def test_published_sizes_of_sam_2_are_recognised_from_their_tensors(second, size, version):
    from sam2.build_sam import build_sam2

    state = build_sam2(f"configs/{version}/{version}_hiera_{size}.yaml", device="cpu").state_dict()
    again = build_second(state).state_dict()
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in again.items()}


def test_half_a_sam_2_is_refused(second, tmp_path):
    state = dict(second[1].state_dict())
    del state["maskmem_tpos_enc"]
    torch.save({"model": state}, tmp_path / "half.pt")
    with pytest.raises(InputError, match="half.pt is no Segment Anything model"):
        load_sam(checkpoint=tmp_path / "half.pt")


@pytest.mark.slow
def test_sam_2s_automatic_generator_is_its_own(second):
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    segmenter = open_segmenter("sam-automatic", checkpoint=str(second[0]))
    assert isinstance(segmenter._generator, SAM2AutomaticMaskGenerator)
    ids = np.zeros((60, 80), np.uint8)
    ids[20:40, 20:50] = 1
    photo = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    assert segmenter.refine(photo, ids, name="0").shape == (60, 80)
