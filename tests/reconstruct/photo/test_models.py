"""Depth models load through the real package, from a folder, without a network."""

import sys
from pathlib import Path

import numpy as np
import pytest

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.reconstruct.photo import models


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny Depth Anything with random weights, saved as the hub's are."""
    torch = pytest.importorskip("torch", reason="extra depth is not installed")
    transformers = pytest.importorskip("transformers", reason="extra depth is not installed")
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=64, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type="metric", max_depth=20, patch_size=14,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    transformers.DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    return folder


def test_predicts_metres_of_the_pictures_size(checkpoint):
    model = models.open_model("auto", checkpoint=checkpoint, side=112)
    rgb = np.random.default_rng(0).integers(0, 255, (120, 161, 3)).astype(np.uint8)
    depth = model.predict(rgb, 130.0)
    assert depth.shape == (120, 161) and depth.dtype == np.float32
    assert (depth > 0).all() and (depth <= 20.001).all()
    assert np.array_equal(depth, model.predict(rgb, 130.0))


def test_a_relative_model_is_refused(checkpoint, tmp_path):
    import json
    import shutil

    shutil.copytree(checkpoint, tmp_path / "relative")
    config = json.loads((tmp_path / "relative" / "config.json").read_text())
    (tmp_path / "relative" / "config.json").write_text(json.dumps(config | {"depth_estimation_type": "relative"}))
    with pytest.raises(InputError, match="relative depth"):
        models.open_model("auto", checkpoint=tmp_path / "relative")


def test_unknown_names_and_empty_folders_say_so(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="No depth model 'depth-anythin'; have .* Did you mean depth-anything"):
        models.check_model("depth-anythin")
    monkeypatch.setattr(models, "need_packages", lambda: None)
    with pytest.raises(InputError, match="holds no model"):
        models.open_model("auto", checkpoint=tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        models.open_model("auto", checkpoint=tmp_path / "no")


def test_missing_packages_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None)
    with pytest.raises(MissingDependencyError, match=r"phone2sim\[depth\]") as e:
        models.open_model("auto")
    assert e.value.exit_code == 3


def test_weights_that_cannot_be_fetched_ask_for_a_folder(monkeypatch, tmp_path):
    pytest.importorskip("huggingface_hub", reason="extra depth is not installed")
    import huggingface_hub

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    with pytest.raises(MissingDependencyError, match=r"could not be fetched \(no network\).*--checkpoint DIR"):
        models.fetch("depth-anything")


def test_a_damaged_weight_file_is_noticed(tmp_path):
    import hashlib

    data = b"weights"
    blob = tmp_path / hashlib.sha256(data).hexdigest()
    blob.write_bytes(data)
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    models.check_sum(link)
    blob.write_bytes(b"weighty")
    with pytest.raises(InputError, match="damaged"):
        models.check_sum(link)


def test_the_registry_is_pinned_where_it_can_be():
    assert models.check_model("auto") in models.MODELS
    for model in models.MODELS.values():
        assert model.revision is None or len(model.revision) == 40
        assert Path(model.repo).name and model.licence
