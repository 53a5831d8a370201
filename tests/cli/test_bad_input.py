"""A capture that cannot be used: exit 2, one line, no traceback, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phone2sim.cli import main
from phone2sim.errors import MissingDependencyError
from phone2sim.images import write_rgb
from phone2sim.keys import Key


def missing(path: Path) -> Path:
    return path / "none.mp4"


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


def text_named_mp4(path: Path) -> Path:
    (path / "notes.mp4").write_text("milk, eggs, bread\n" * 50)
    return path / "notes.mp4"


def empty_clip(path: Path) -> Path:
    (path / "zero.mp4").touch()
    return path / "zero.mp4"


def cut_clip(path: Path) -> Path:
    """A real clip whose index at the end is cut off."""
    import av

    whole = path / "whole.mp4"
    with av.open(str(whole), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 128, "yuv420p"
        rng = Key(0).rng()
        for _ in range(40):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (128, 96, 3)).astype("uint8"), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = whole.read_bytes()
    whole.unlink()
    (path / "cut.mp4").write_bytes(data[: len(data) // 2])
    return path / "cut.mp4"


def two_photos(path: Path) -> Path:
    for i in range(2):
        write_rgb(path / "two" / f"{i}.jpg", Key(i).rng().integers(0, 255, (480, 360, 3)).astype("uint8"))
    return path / "two"


def no_pictures(path: Path) -> Path:
    (path / "docs").mkdir()
    (path / "docs" / "a.txt").write_text("hello")
    return path / "docs"


CASES = (missing, empty_folder, text_named_mp4, empty_clip, cut_clip, two_photos, no_pictures)


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("command", ["build", "reconstruct"])
def test_bad_capture(
    command: str, make: Callable[[Path], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([command, str(source), "-o", str(tmp_path / "scene"), "--quiet"]) == 2
    out, err = capfd.readouterr()
    lines = [line for line in err.splitlines() if line.strip()]
    assert out == "" and "Traceback" not in err
    assert len(lines) == 1 and lines[0].startswith("error: ") and source.name in lines[0], err
    assert sorted(tmp_path.rglob("*")) == before


def test_output_that_is_a_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = two_photos(tmp_path)
    (tmp_path / "scene").write_text("mine")
    assert main(["build", str(source), "-o", str(tmp_path / "scene")]) == 2
    assert "is a file; the output must be a folder." in capfd.readouterr().err
    assert (tmp_path / "scene").read_text() == "mine"


def test_a_users_own_folder_is_never_replaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = two_photos(tmp_path)
    mine = tmp_path / "holiday" / "capture" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["build", str(source), "-o", str(tmp_path / "holiday")]) == 2
    assert f"{mine.parent} was not made by phone2sim." in capfd.readouterr().err
    assert mine.read_text() == "mine" and len(list((tmp_path / "holiday").rglob("*"))) == 2


def test_a_damaged_photo_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "IMG_1.heic").write_bytes(Key(0).rng().bytes(500))
    assert main(["inspect", str(tmp_path / "IMG_1.heic")]) == 2
    assert capfd.readouterr().err.startswith("error: IMG_1.heic is not a photo (its content is of no known kind: damaged?).")
    two_photos(tmp_path)
    (tmp_path / "IMG_1.heic").rename(tmp_path / "two" / "IMG_1.heic")
    main(["inspect", str(tmp_path / "two")])
    assert "Left out: IMG_1.heic is not a photo" in capfd.readouterr().err


@pytest.mark.parametrize(
    "args, where", [(["--classifier", "clip"], "phone2sim.assets.classify._fetch"), (["--segmenter", "sam"], "phone2sim.assets.pipeline.fetch")]
)
def test_weights_that_cannot_be_fetched_are_told_before_anything_is_made(
    args: list[str], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def offline(name: str) -> Path:
        raise MissingDependencyError(f"The weights of {name} could not be fetched.")

    for packages in ("classify", "segmenters.weights"):
        monkeypatch.setattr(f"phone2sim.assets.{packages}.need_packages", lambda *_: None)
    monkeypatch.setattr(where, offline)
    source = two_photos(tmp_path)
    assert main(["build", str(source), "-o", str(tmp_path / "scene"), *args]) == 3
    assert "could not be fetched" in capfd.readouterr().err and not (tmp_path / "scene").exists()


@pytest.mark.parametrize(
    "text, told",
    [
        ("task:\n  kind: plcae\n", ":2: task.kind: No task 'plcae'; have clear, pick, place, push, stack. Did you mean place?"),
        ("clutter: {sources: [shaps]}\n", ":1: clutter.sources: No source 'shaps'; have folder:PATH, scene, scene:PATH, shapes. Did you mean shapes?"),
    ],
)
def test_what_a_recipe_names_is_looked_for_when_it_is_checked(
    text: str, told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert main(["recipe", str(tmp_path / "mine.yaml")]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.replace("\n", " ").strip() == f"error: {tmp_path / 'mine.yaml'}{told}"
