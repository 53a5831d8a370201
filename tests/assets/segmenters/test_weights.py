"""Weights are fetched once, checked, and refused in one line when they cannot be had."""

import hashlib
import sys

import pytest

from phone2sim.assets.segmenters import open_segmenter, weights
from phone2sim.assets.segmenters.weights import WEIGHTS, Weights, check_file, fetch, load_sam
from phone2sim.errors import InputError, MissingDependencyError


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A stand-in for the place weights come from, with one small file."""
    content = b"weights" * 1000
    small = Weights(file="sam_vit_b_small.pth", megabytes=1, sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(WEIGHTS, "vit_b", small)
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / small.file).write_bytes(content)
    return folder, folder.as_uri(), tmp_path / "cache"


def test_the_published_files():
    assert {k: w.file for k, w in WEIGHTS.items()} == {
        "vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth",
        "hiera_t": "sam2.1_hiera_tiny.pt", "hiera_s": "sam2.1_hiera_small.pt", "hiera_b": "sam2.1_hiera_base_plus.pt",
        "hiera_l": "sam2.1_hiera_large.pt",
    }  # fmt: skip
    assert all(len(w.sha256) == 64 for w in WEIGHTS.values())


def test_fetched_once_and_checked_each_time(served):
    folder, source, cache = served
    file = fetch("vit_b", source=source, folder=cache)
    assert file.read_bytes() == (folder / file.name).read_bytes()
    (folder / file.name).unlink()
    assert fetch("vit_b", source=source, folder=cache) == file
    assert [p.name for p in cache.iterdir()] == [file.name]
    file.write_bytes(b"x")
    with pytest.raises(InputError, match="is damaged: its checksum is not the published one"):
        fetch("vit_b", source=source, folder=cache)


def test_wrong_bytes_are_never_kept(served):
    folder, source, cache = served
    (folder / "sam_vit_b_small.pth").write_bytes(b"other")
    with pytest.raises(MissingDependencyError, match=r"could not be fetched \(its checksum is not the published one\)") as e:
        fetch("vit_b", source=source, folder=cache)
    assert e.value.exit_code == 3 and "--sam-checkpoint FILE" in e.value.hint and list(cache.iterdir()) == []


def test_no_network_says_which_file_to_bring(served, tmp_path):
    with pytest.raises(MissingDependencyError, match="Fetch file:///nowhere/sam_vit_b_small.pth where there is a network"):
        fetch("vit_b", source="file:///nowhere", folder=tmp_path)


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"--sam-checkpoint .*none.pth does not exist\. Give a file such as sam_vit_b_01ec64"):
        check_file(tmp_path / "none.pth")
    with pytest.raises(InputError, match="is a folder"):
        check_file(tmp_path)
    official = tmp_path / "sam_vit_h_4b8939.pth"
    official.write_bytes(b"half of it")
    with pytest.raises(InputError, match="is damaged"):
        check_file(official)
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"anything")
    assert check_file(mine) == mine


def test_names_and_the_missing_extra(monkeypatch):
    with pytest.raises(InputError, match=r"No segmenter 'sma'; have geometric, sam, sam-automatic\. Did you mean sam"):
        open_segmenter("sma")
    with pytest.raises(InputError, match="No Segment Anything model 'vit_x'; have hiera_b, hiera_l, hiera_s, hiera_t, vit_b, vit_h, vit_l"):
        open_segmenter("sam", model="vit_x")
    assert open_segmenter("geometric").name == "geometric"
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "segment_anything" else real(n, *a))
    with pytest.raises(MissingDependencyError, match=r"needs .*segment_anything.* pip install 'phone2sim\[sam\]'") as e:
        weights.load_sam("vit_b")
    assert e.value.exit_code == 3


def test_sam_2_says_how_its_package_is_installed(monkeypatch, tmp_path):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "sam2" else object() if n == "torchvision" else real(n, *a))
    with pytest.raises(MissingDependencyError, match=r"needs sam2, which is not installed\. .*pip install --no-build-isolation sam2"):
        weights.load_sam("hiera_t")
    torch = pytest.importorskip("torch")
    torch.save({"model": {"no_obj_embed_spatial": torch.zeros(1)}}, tmp_path / "mine.pt")
    with pytest.raises(MissingDependencyError, match="needs sam2"):  # the file itself says whose it is
        weights.load_sam(checkpoint=tmp_path / "mine.pt")


def test_a_torchvision_for_another_torch_is_not_the_files_fault(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    for name, body in (("torchvision", "raise RuntimeError('operator torchvision::nms does not exist')"), ("segment_anything", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(body)
        for loaded in [m for m in sys.modules if m.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.syspath_prepend(tmp_path)
    torch.save({"image_encoder.pos_embed": torch.zeros(1)}, tmp_path / "some.pth")
    with pytest.raises(MissingDependencyError, match="torchvision does not fit torch .*nms does not exist"):
        load_sam(checkpoint=tmp_path / "some.pth")
