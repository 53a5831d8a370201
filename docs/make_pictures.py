"""Write the five pictures of README and docs from a demo folder: `python docs/make_pictures.py demo docs/img`.

clip.jpg: three frames of the clip. novel_view.jpg: the splat from views no camera had. objects.jpg: the cut-out
objects. episodes.jpg: four varied episodes. pairs.jpg: one trajectory in other views, light, clutter and sensors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

GAP = 12
PAPER = 255


def row(pictures: list[np.ndarray], *, height: int) -> np.ndarray:
    """Pictures side by side at one height, with a gap."""
    scaled = []
    for p in pictures:
        im = Image.fromarray(p)
        scaled.append(np.asarray(im.resize((round(im.width * height / im.height), height), Image.Resampling.LANCZOS)))
    gap = np.full((height, GAP, 3), PAPER, np.uint8)
    parts = [x for p in scaled for x in (gap, p)][1:]
    return np.concatenate(parts, axis=1)


def stack(rows: list[np.ndarray]) -> np.ndarray:
    """Rows under one another, padded to one width."""
    width = max(r.shape[1] for r in rows)
    parts = []
    for r in rows:
        parts.append(np.full((GAP, width, 3), PAPER, np.uint8))
        parts.append(np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=PAPER))
    return np.concatenate(parts[1:])


def save(path: Path, picture: np.ndarray, *, width: int) -> None:
    im = Image.fromarray(picture)
    if im.width > width:
        im = im.resize((width, round(im.height * width / im.width)), Image.Resampling.LANCZOS)
    im.save(path, quality=88, subsampling=0, optimize=True)
    print(f"{path}  {im.width}×{im.height}  {path.stat().st_size / 1e3:.0f} kB")


def clip(demo: Path) -> np.ndarray:
    from phone2sim.sim_export.report.pictures import video_frames

    frames = video_frames(demo / "sample" / "clip.mp4", 7)
    return row([frames[1], frames[3], frames[5]], height=640)


def novel_views(demo: Path) -> np.ndarray:
    """Two views between and away from the cameras: one lower and nearer, one from higher up."""
    from phone2sim.poses import look_at
    from phone2sim.reconstruct.cameras import Cameras
    from phone2sim.reconstruct.splat.cloud import SplatCloud
    from phone2sim.reconstruct.splat.rasterize import rasterize

    cloud = SplatCloud.load_ply(demo / "scene" / "splat" / "splat.ply")
    cameras = Cameras.load(demo / "scene" / "cameras" / "transforms.json")
    axes = cameras.T_world_camera[:, :3, 2]
    # the point all cameras look at, least squares over their axes
    P = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    middle = np.linalg.solve(P.sum(0), (P @ cameras.centres[:, :, None]).sum(0))[:, 0]
    order = np.argsort(np.arctan2(*(cameras.centres - middle)[:, 1::-1].T))
    pictures = []
    for share, nearer, lift in ((0.3, 0.85, 0.10), (0.7, 0.8, -0.06)):
        at = order[int(share * (len(order) - 1))]
        between = (cameras.centres[at] + cameras.centres[order[order.tolist().index(at) + 1]]) / 2
        eye = middle + nearer * (between - middle) + [0, 0, lift]
        w, h = 960, 640
        f = 0.9 * w
        K = np.array([[f, 0, w / 2], [0, f, h / 2], [0, 0, 1]])
        T = look_at(eye, middle).inverse().matrix
        rgb = rasterize(cloud, K=K, T_camera_world=T, width=w, height=h).rgb
        pictures.append((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
    return row(pictures, height=640)


def objects(demo: Path) -> np.ndarray:
    from phone2sim.config import read_json
    from phone2sim.images import read_rgb

    folder = demo / "scene" / "scene"
    pictures = [read_rgb(folder / "preview" / f"{name}.png") for name in read_json(folder / "scene.json")["assets"]]
    columns = min(4, len(pictures)) if len(pictures) != 6 else 3
    return stack([row(pictures[i : i + columns], height=400) for i in range(0, len(pictures), columns)])


def episodes(demo: Path) -> np.ndarray:
    """A column an episode: the first camera at the grasp, the second camera below."""
    from phone2sim.sim_export.report import read_dataset
    from phone2sim.sim_export.report.pictures import spread, video_frames

    chosen = spread(list(read_dataset(demo / "picks").episodes), 4)
    rows = []
    for camera in range(min(2, *(len(e.videos) for e in chosen))):
        rows.append(row([video_frames(e.videos[camera], 9)[4] for e in chosen], height=300))
    return stack(rows)


def pairs(demo: Path) -> np.ndarray:
    """One moment of one trajectory: as simulated, other views, other light, more clutter, other sensors."""
    from phone2sim.assets.scene import Scene
    from phone2sim.augment.pairs import for_target
    from phone2sim.augment.recipe import PairsRecipe, load_recipe
    from phone2sim.augment.sampler import sample_episode, workspace_of
    from phone2sim.keys import Key
    from phone2sim.sim_export.pairs import pair_of
    from phone2sim.sim_export.pictures import SpecPictures
    from phone2sim.sim_export.workers import Job, Maker

    scene = Scene.load(demo / "scene")
    recipe = for_target(for_target(load_recipe("default"), "wam"), "vla")
    recipe = recipe.model_copy(update={"pairs": PairsRecipe(views=2, lights=2, clutter=1, sensor=2)})
    ws = workspace_of(scene, recipe)
    job = Job(scene_dir=demo / "scene", dataset_dir=demo, recipe="default", seed=0, scene_fingerprint="", simulator="mujoco",
              pictures=False)  # fmt: skip
    maker = Maker(job, scene=scene)
    for index in range(20):
        base = maker.simulate(sample_episode(scene, recipe, Key(4), index, workspace=ws))
        if base.success and len(base.spec.objects) < 5:
            break
    found, _ = pair_of(scene, recipe, base, workspace=ws)
    t = len(base) // 2
    drawn = []
    for e in (base, *found):
        pictures = SpecPictures(scene, e.spec, e.robot_bodies)
        drawn.append(pictures.draw(e.object_poses[t], e.robot_poses[t], t)["front"])
    return stack([row(drawn[i : i + 4], height=300) for i in range(0, len(drawn), 4)])


def main(demo: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, make, width in (
        ("clip", clip, 900),
        ("novel_view", novel_views, 1200),
        ("objects", objects, 1200),
        ("episodes", episodes, 1200),
        ("pairs", pairs, 1200),
    ):
        save(out / f"{name}.jpg", make(demo), width=width)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/img"))
