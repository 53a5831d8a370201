"""The report is one file, shows what is there, and copes with whatever is missing."""

from __future__ import annotations

import errno
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from phone2sim.augment import parse_recipe, sample_episode
from phone2sim.augment.coverage import parameters
from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.images import write_rgb
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.sim_export.report import read_dataset, read_scene, write_report
from phone2sim.sim_export.report.coverage import HEIGHT, WIDTH, coverage, strip
from phone2sim.sim_export.report.figures import camera_plot, interval_bar
from phone2sim.sim_export.report.pictures import embed, spread, video_frames
from tests.sim_export.scenes import cube_scene

N = 12


def picture(seed: int, h: int = 64, w: int = 48) -> np.ndarray:
    base = Key(seed).child("picture").rng().random((4, 3, 3))
    return (np.kron(base, np.ones((h // 4, w // 3, 1))) * 255).astype(np.uint8)


def interval(value: float) -> dict:
    return {"value": value, "low": 0.7 * value, "high": 1.5 * value, "why": "test"}


def make_scene(folder: Path) -> Path:
    for i in range(N):
        write_rgb(folder / "capture" / "frames" / f"{i:04d}.jpg", picture(i))
    write_json(
        folder / "capture" / "capture.json",
        {"kind": "clip", "source": "desk <1>.mp4", "advice": ["Move slower."], "frames": []},
    )
    angle = np.linspace(0, 4, N)
    T = np.stack([look_at(np.array([0.6 * np.cos(a), 0.6 * np.sin(a), 0.4]), np.zeros(3)).matrix for a in angle])
    Cameras(
        T_world_camera=T, K=np.tile(np.array([[60.0, 0, 24], [0, 60, 32], [0, 0, 1]]), (N, 1, 1)), size_wh=np.tile([48, 64], (N, 1)),
        distortion=np.zeros((N, 4)), names=tuple(f"{i:04d}.jpg" for i in range(N)),
    ).save(folder / "cameras" / "transforms.json")  # fmt: skip
    votes = [
        {"about": "scale", "source": "sheet", **interval(0.4), "used": True, "verdict": "the only source that measures"},
        {"about": "scale", "source": "length", **interval(0.5), "used": False, "verdict": "outvoted by sheet"},
        {"about": "up", "source": "cameras", "from_chosen_deg": 1.3, "interval_deg": 4.0},
    ]
    metric = {
        "scale": interval(0.4), "scale_source": "sheet", "scale_interval": [0.98, 1.03], "up_source": "support plane", "up_interval_deg": 0.2,
        "votes": votes, "flagged": ["the sheet is tilted"], "decided": "the sheet decided against 1 other",
    }  # fmt: skip
    write_json(folder / "cameras" / "metric.json", metric)
    write_json(folder / "splat" / "metrics.json", {"psnr": 28.4, "ssim": 0.91, "gaussians": 43210, "seconds": 61.0})
    for i in (3, 8):
        write_rgb(folder / "splat" / "heldout" / f"{i:04d}_photo.png", picture(i))
        write_rgb(folder / "splat" / "heldout" / f"{i:04d}_render.png", picture(i))
    outline = [[-0.4, -0.3], [0.4, -0.3], [0.4, 0.3], [-0.4, 0.3]]
    support = {
        "name": "table",
        "T_world_surface": Pose.identity().to_json(),
        "outline": outline,
        "friction": interval(0.5),
    }
    write_json(
        folder / "scene" / "scene.json",
        {"schema": 1, "supports": [support], "assets": ["mug", "box"], "notes": ["Two things."]},
    )
    for k, name in enumerate(("mug", "box")):
        row = {
            "name": name, "label": name, "material": "ceramic", "mass_kg": interval(0.3), "friction": interval(0.5), "volume_m3": 2e-4,
            "extents_m": [0.08, 0.08, 0.1], "T_world_asset": Pose.from_xyz_yaw(np.array([0.15 * k, 0, 0]), 0.4).to_json(),
            "hulls": ["hulls/hull_000.obj"], "seen_fraction": 0.8, "notes": [],
        }  # fmt: skip
        write_json(folder / "scene" / name / "asset.json", row)
        write_rgb(folder / "scene" / "preview" / f"{name}.png", picture(50 + k))
    for stage, result in {
        "capture": {},
        "cameras": {"cameras": {"total": N, "registered": N, "reprojection_px": 0.71}},
        "splat": {},
        "scene": {},
    }.items():
        write_json(folder / stage / "manifest.json", {"schema": 1, "seconds": 12.5, "result": result})
    return folder


def write_clip(path: Path, frames: list[np.ndarray]) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for f in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(f, format="rgb24")))
        container.mux(stream.encode())


def make_dataset(folder: Path) -> Path:
    pose = {"translation": [0.1, 0, 0.05], "quat_wxyz": [1, 0, 0, 0]}
    specs = []
    for i in range(3):
        spec = {
            "index": i, "objects": [{"name": "mug", "asset": "mug", "role": "target", "pose": pose, "mass_kg": 0.3, "friction": 0.5}],
            "lights": {"direction": [0, 0, -1], "key_rgb": [1, 1, 1], "relight_rgb": [1, 1, 1]},
            "cameras": [{"name": "front", "pose": {"translation": [0.5, 0.01 * i, 0.4], "quat_wxyz": [1, 0, 0, 0]}}],
            "sensor": {"exposure": 1.0 + 0.1 * i, "noise_std": 0.01}, "robot": {"base": pose},
            "task": {"target": "mug", "goals": [{"object": "mug", "xyz": [0.2, 0.1 * i, 0.0]}], "language": "Pick up the <mug>."}, "fps": 20,
        }  # fmt: skip
        specs.append(spec)
        if i < 2:
            e = folder / "episodes" / str(i)
            write_json(e / "spec.json", spec)
            write_json(e / "meta.json", {"success": True, "frames": 10})
            write_clip(e / "front.mp4", [picture(j) for j in range(10)])
    (folder / "specs.jsonl").write_text("".join(json.dumps(s) + "\n" for s in specs))
    write_json(folder / "manifest.json", {"attempts": 3, "kept": 2, "reasons": {"dropped": 1}, "seconds": 9.0})
    return folder


class Balanced(HTMLParser):
    """Fails on tags that are not closed in order."""

    void = {"meta", "img", "link", "br", "hr", "input"}

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in self.void:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, tag


def parse(path: Path) -> tuple[str, Balanced]:
    text = path.read_text()
    parser = Balanced()
    parser.feed(text)
    assert parser.stack == []
    return text, parser


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("report")
    return make_scene(root / "scene"), make_dataset(root / "picks")


def test_whole_report_is_one_self_contained_file(both: tuple[Path, Path], tmp_path: Path) -> None:
    text, page = parse(write_report(*both, tmp_path / "report.html"))
    for part in (
        "12 / 12",
        "28.4 dB",
        "± 2.5 %",
        "43,210",
        "67 %",
        "ceramic",
        "mug",
        "Move slower.",
        "dropped",
        "the sheet is tilted",
        "The sheet decided against 1 other.",
        "outvoted</span>",
        "by sheet",
        "1.3° from",
    ):
        assert part in text, part
    assert {"capture", "cameras", "splat", "objects", "time", "variation", "episodes"} == set(
        re.findall(r'<section id="(\w+)"', text)
    )
    assert len(page.images) == 3 + N + 4 + 2 + 2 * 6
    assert all(i.startswith("data:image/jpeg;base64,") for i in page.images)
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "&lt;mug&gt;" in text and "<mug>" not in text and "desk <1>" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_same_input_same_bytes(both: tuple[Path, Path], tmp_path: Path) -> None:
    assert (
        write_report(*both, tmp_path / "a.html").read_bytes() == write_report(*both, tmp_path / "b.html").read_bytes()
    )


@pytest.mark.parametrize(
    "missing",
    ["capture", "cameras", "splat", "scene", "splat/heldout", "scene/mug", "cameras/metric.json", "scene/preview"],
)
def test_missing_parts_are_left_out(both: tuple[Path, Path], tmp_path: Path, missing: str) -> None:
    scene = tmp_path / "scene"
    shutil.copytree(both[0], scene)
    shutil.rmtree(scene / missing) if (scene / missing).is_dir() else (scene / missing).unlink()
    parse(write_report(scene, None, tmp_path / "r.html"))


def test_background_only_scene_says_so(both: tuple[Path, Path], tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    shutil.copytree(both[0], scene)
    notes = ["No support plane was found: a background-only scene."]
    write_json(scene / "scene" / "scene.json", {"schema": 1, "supports": [], "assets": [], "notes": notes})
    text, _ = parse(write_report(scene, None, tmp_path / "r.html"))
    assert notes[0] in text and "background only" in text


def test_damaged_clip_and_documents_are_survived(both: tuple[Path, Path], tmp_path: Path) -> None:
    picks = tmp_path / "picks"
    shutil.copytree(both[1], picks)
    (picks / "episodes" / "0" / "front.mp4").write_bytes(b"not a clip")
    (picks / "episodes" / "1" / "meta.json").write_text("{")
    parse(write_report(None, picks, tmp_path / "r.html"))
    assert video_frames(picks / "episodes" / "0" / "front.mp4", 3) == []


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to report"):
        write_report(tmp_path, None, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_frames_are_first_to_last(both: tuple[Path, Path]) -> None:
    frames = video_frames(both[1] / "episodes" / "0" / "front.mp4", 4)
    assert len(frames) == 4
    for got, want in zip(frames, (0, 3, 6, 9), strict=True):
        assert np.abs(got.astype(int) - picture(want)).mean() < 12


def test_spread_keeps_both_ends() -> None:
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([1, 2], 4) == [1, 2]


def test_embed_shrinks_and_survives(tmp_path: Path) -> None:
    assert len(embed(picture(0, 1200, 900), max_side=100)) < 8000
    (tmp_path / "x.png").write_text("no picture")
    assert embed(tmp_path / "x.png") == ""


def test_facts(both: tuple[Path, Path]) -> None:
    scene, dataset = read_scene(both[0]), read_dataset(both[1])
    assert scene.seconds == {"capture": 12.5, "cameras": 12.5, "splat": 12.5, "scene": 12.5}
    assert [a["name"] for a in scene.assets] == ["mug", "box"]
    assert [e.folder.name for e in dataset.episodes] == ["0", "1"] and len(dataset.specs) == 3


def test_plots_stay_inside_their_frame(both: tuple[Path, Path]) -> None:
    scene = read_scene(both[0])
    assert scene.cameras is not None
    svg = camera_plot(scene.cameras, scene.scene, scene.assets, axes=(0, 2))
    _, _, w, h = map(float, re.search(r'viewBox="([^"]+)"', svg).group(1).split())  # type: ignore[union-attr]
    points = [tuple(map(float, p.split(","))) for ps in re.findall(r'points="([^"]+)"', svg) for p in ps.split()]
    assert len(points) > 5 * N and all(0 <= x <= w and 0 <= y <= h for x, y in points)
    assert "NaN" not in interval_bar(1, 1, 1) and "nan" not in interval_bar(1, 1, 1)


def test_a_strip_shows_each_of_few_attempts_and_counts_many():
    few = strip(np.array([0.0, 2.5, 10.0]), np.array([5.0]))
    dark, red = re.findall(r'<path d="([^"]*)" stroke="(?:currentColor|#d9483b)" stroke-opacity="0.6"', few)
    assert [float(x) for x in re.findall(r"M([\d.]+) ", dark)] == [0, WIDTH / 4, WIDTH]
    assert [float(x) for x in re.findall(r"M([\d.]+) ", red)] == [WIDTH / 2]
    assert few.startswith('<td class="end">0</td>') and few.endswith("<td>10</td>")
    many = strip(np.r_[np.zeros(60), np.ones(30)], np.ones(30))
    kept, rejected = re.findall(r'<path d="([^"]*)" fill="(?:currentColor|#d9483b)"', many)
    heights = [float(h) for h in re.findall(r"v-([\d.]+)", kept)]
    assert heights == [HEIGHT - 2, pytest.approx((HEIGHT - 2) / 2, abs=0.1)]  # 60, and 30 below 30 rejected
    assert [float(h) for h in re.findall(r"v-([\d.]+)", rejected)] == [pytest.approx((HEIGHT - 2) / 2, abs=0.1)]


def test_coverage_of_a_dataset_names_what_varied_and_what_never_did(tmp_path):
    text = "sensor: {exposure: {uniform: [0.5, 2]}}\ntask: {target: cube}"
    specs = [sample_episode(cube_scene(), parse_recipe(text), Key(1), i) for i in range(3)]
    for i, spec in enumerate(specs[:2]):
        write_json(tmp_path / "episodes" / str(i) / "spec.json", spec.model_dump(mode="json"))
    write_json(tmp_path / "rejected" / "000002.json", {"index": 2, "reason": "slipped", "parameters": parameters(specs[2])})
    html = coverage(read_dataset(tmp_path))
    assert re.findall(r'<tr class="axis"><th colspan="4">([^<]*)', html) == ["sensor", "task"]  # the goal is drawn anew each time
    assert "exposure ×" in html and "#d9483b" in html
    assert "Always the same:" in html and "physics latency [ms] 0" in html


def test_a_report_that_cannot_be_written_leaves_nothing_and_the_old_one(tmp_path, monkeypatch):
    scene = make_scene(tmp_path / "scene")
    out = tmp_path / "report.html"
    out.write_text("old")

    def full(path, *_, **__):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError):
        write_report(scene, None, out)
    assert out.read_bytes() == b"old" and not list(tmp_path.glob(".*"))
