"""What objects look like, through the package itself with a tiny untrained CLIP model that was saved and is loaded again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phone2sim.assets.classify import cut_out, need_packages, open_classifier
from phone2sim.assets.evidence import Looks, physics
from phone2sim.assets.materials import kinds, material, materials
from phone2sim.assets.overrides import Override
from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.keys import Key
from phone2sim.reconstruct.mesh.view import View


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of 32 numbers, and a tokenizer of single letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = {t: i for i, t in enumerate([*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": vocabulary["<|startoftext|>"], "eos_token_id": vocabulary["<|endoftext|>"]}
    config = transformers.CLIPConfig(
        text_config=layers | ends | {"vocab_size": len(vocabulary), "max_position_embeddings": 77},
        vision_config=layers | {"image_size": 32, "patch_size": 8}, projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    return folder


def test_a_saved_model_gives_shares_that_depend_on_the_picture(saved: Path) -> None:
    rng = Key(1).rng()
    dark, bright = rng.integers(0, 60, (50, 50, 3), np.uint8), rng.integers(150, 255, (70, 70, 3), np.uint8)
    model, again = open_classifier(str(saved)), open_classifier(str(saved))
    a, b = model.looks([dark]), model.looks([bright, bright])
    for found in (a, b):
        assert set(found.kinds) == set(kinds()) and sum(found.kinds.values()) == pytest.approx(1, abs=1e-4)
        assert set(found.materials) == {m for m in materials() if "unknown" not in m}
        assert sum(found.materials.values()) == pytest.approx(1, abs=1e-4) and found.by == saved.name
    assert a.kinds != b.kinds and again.looks([dark]).kinds == a.kinds


def test_what_is_no_clip_model_is_said(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="holds no CLIP model"):
        open_classifier(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="it is a bert model"):
        open_classifier(str(tmp_path))
    with pytest.raises(InputError, match="neither a folder nor the name of a model. Such as"):
        open_classifier("nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"needs torch and transformers.*phone2sim\[clip\]"):
        need_packages()


def test_an_object_is_cut_out_of_the_views_that_show_most_of_it() -> None:
    views, masks = [], []
    for side in (10, 40):
        photo = np.full((120, 160, 3), 200, np.uint8)
        photo[30 : 30 + 2 * side, 20 : 20 + 2 * side] = (250, 10, 10)
        mask = np.zeros((60, 80), bool)
        mask[15 : 15 + side, 10 : 10 + side] = True
        views.append(View(name="v", photo=photo, depth=np.ones((60, 80), np.float32), K=np.eye(3), T_camera_world=np.eye(4)))
        masks.append(mask)
    first, second = cut_out(views, masks)
    assert first.shape[0] == first.shape[1] > second.shape[0] == second.shape[1]
    middle = first.shape[0] // 2
    assert np.abs(first[middle, middle].astype(int) - [250, 10, 10]).max() < 4
    assert np.abs(first[1, 1].astype(int) - (0.3 * 200 + 0.7 * 128)).max() < 4  # its surroundings are faded
    assert cut_out(views, [np.zeros((60, 80), bool)] * 2) == []


def test_looks_become_a_mixture_and_the_user_wins() -> None:
    import trimesh

    box = trimesh.creation.box((0.06, 0.06, 0.08))
    box.apply_translation([0, 0, 0.04])
    looks = Looks(kinds={"mug": 0.9, "can": 0.02}, materials={"ceramic": 0.8, "glass": 0.2}, by="a model")

    def of(looks: Looks | None, **row: object) -> object:
        return physics(box, "", Override(**row), surface_m=5e-4, seen=0.9, scale=(0.99, 1.01), looks=looks)

    seen, nothing, said = of(looks), of(None), of(looks, material="foam")
    assert seen.material == "ceramic" and nothing.material == "unknown" and said.material == "foam"
    assert seen.mass_kg.high / seen.mass_kg.low < 0.5 * nothing.mass_kg.high / nothing.mass_kg.low
    assert "a model" in seen.mass_kg.why and seen.stiffness_pa.low == material("ceramic").stiffness_pa[0]
    unsure = of(Looks(kinds={}, materials={"ceramic": 0.03, "wood": 0.02}, by="a model"))
    assert unsure.material == "unknown"
