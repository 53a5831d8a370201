"""What an export costs: `python benchmarks/export.py SCRATCH [SCENE …]`.

Cases: every SCENE given (a folder made by `phone2sim build`), a scene of fifteen objects made of the sample's own meshes,
and a background of a million Gaussians. Each runs in a process of its own; processor seconds, peak memory and bytes go to
`SCRATCH/export.json` and a Markdown table. The scene of fifteen stays in `SCRATCH/fifteen` for other judges.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from phone2sim.config import write_json

MILLION = 1_000_000


def fifteen(folder: Path) -> Path:
    """A scene of fifteen objects as perfect assets would be: the sample's meshes, decomposed into hulls."""
    if (folder / "scene" / "scene.json").exists():
        return folder
    from phone2sim.assets.hulls import decompose
    from phone2sim.assets.mesh import TexturedMesh
    from phone2sim.assets.physics import inertia
    from phone2sim.assets.scene import Asset, Scene, SupportSurface
    from phone2sim.intervals import Interval
    from phone2sim.poses import Pose
    from phone2sim.reconstruct.cameras import Cameras
    from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud
    from phone2sim.sample import SampleConfig, make_scene
    from phone2sim.sample.catalog import OBJECTS
    from phone2sim.sample.clip import filming_distance, intrinsics, trajectory

    config = SampleConfig(objects=tuple(n for n in OBJECTS if n != "bottle"), seed=6)
    sample = make_scene(config)
    assets = []
    for k, o in enumerate(sample.objects):
        mesh = TexturedMesh(vertices=o.shape.vertices, faces=o.shape.faces, uv=o.shape.uv, texture=np.asarray(o.texture))
        solid = mesh.welded()
        pick = np.linspace(0, len(mesh.vertices) - 1, min(len(mesh.vertices), 3000)).astype(int)
        color = mesh.texture[
            ((1 - mesh.uv[pick, 1]) * (mesh.texture.shape[0] - 1)).astype(int), (mesh.uv[pick, 0] * (mesh.texture.shape[1] - 1)).astype(int)
        ] / 255.0  # fmt: skip
        splat = SplatCloud(
            means=mesh.vertices[pick], quats_wxyz=np.tile([1.0, 0, 0, 0], (len(pick), 1)), scales=np.full((len(pick), 3), 0.003),
            opacities=np.full(len(pick), 0.9), sh=((color - 0.5) / SH_C0)[:, None],
        )  # fmt: skip
        assets.append(
            Asset(
                name=f"{o.name}_{k}", T_world_asset=Pose(sample.T_world_object.translation[k], sample.T_world_object.quat_wxyz[k]),
                visual=mesh, hulls=decompose(solid).parts, splat=splat, volume_m3=float(solid.volume),
                mass_kg=Interval(value=o.mass_kg, low=0.5 * o.mass_kg, high=2 * o.mass_kg), inertia=inertia(solid, o.mass_kg),
                friction=Interval(value=0.5, low=0.3, high=0.7), restitution=Interval(value=0.1, low=0.0, high=0.3),
                material=o.material, label=o.label,
            )
        )  # fmt: skip
    T = trajectory(np.linspace(0, 10, 24), 10.0, sample_key(), radius_m=filming_distance(sample))
    n = len(T)
    cameras = Cameras(
        T_world_camera=T, K=np.tile(intrinsics(config), (n, 1, 1)), size_wh=np.tile([1080, 1920], (n, 1)),
        distortion=np.zeros((n, 4)), names=tuple(f"frame_{i:05d}.jpg" for i in range(n)),
    )  # fmt: skip
    table = SupportSurface(
        name="table", T_world_surface=Pose.identity(), outline=np.array([[-0.8, -0.6], [0.8, -0.6], [0.8, 0.6], [-0.8, 0.6]])
    )
    Scene(
        cameras=cameras, metric={"scale_source": "sample", "up_source": "sample"}, supports=(table,), assets=tuple(assets),
        background=cloud(50_000), background_mesh=None,
    ).save(folder / "scene")  # fmt: skip
    return folder


def sample_key() -> Any:
    from phone2sim.keys import Key

    return Key(6)


def cloud(n: int) -> Any:
    """n Gaussians of degree 3 in a room."""
    from phone2sim.keys import Key
    from phone2sim.reconstruct.splat.cloud import SplatCloud

    rng = Key(0).rng()
    q = rng.normal(size=(n, 4)).astype(np.float32)
    return SplatCloud(
        means=rng.uniform(-2, 2, (n, 3)), quats_wxyz=q / np.linalg.norm(q, axis=1, keepdims=True),
        scales=rng.uniform(0.002, 0.02, (n, 3)), opacities=rng.uniform(0.1, 1, n), sh=rng.normal(0, 0.3, (n, 16, 3)).astype(np.float32),
    )  # fmt: skip


def measure(case: str, scratch: Path) -> dict[str, Any]:
    """One export in this process."""
    from phone2sim.assets.scene import Scene
    from phone2sim.sim_export.pipeline import ExportConfig, export_scene
    from phone2sim.sim_export.usd import UsdConfig, write_usd

    if case == "million":
        from dataclasses import replace

        scene = replace(Scene.load(scratch / "fifteen"), background=cloud(MILLION), assets=())
        base, start, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.monotonic()
        out = scratch / "million"
        write_usd(scene, out, UsdConfig())
    else:
        base, start, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.monotonic()
        out = export_scene(Path(case), ExportConfig(), force=True).folder
    return {
        "case": Path(case).name, "cpu_s": round(time.process_time() - start, 2), "wall_s": round(time.monotonic() - clock, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "before_mb": round(base / 1024),
        "mb": round(sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) / 1e6, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("scenes", nargs="*", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case, args.scratch)))
        return
    cases = [*(str(s) for s in args.scenes), str(fifteen(args.scratch / "fifteen")), "million"]
    rows = []
    for case in cases:
        done = subprocess.run([sys.executable, __file__, str(args.scratch), "--case", case], capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.strip().splitlines()[-1]))
    write_json(args.scratch / "export.json", rows)
    print("| scene | processor s | wall s | peak memory MB | export MB |\n|---|---:|---:|---:|---:|")
    for r in rows:
        print(f"| {r['case']} | {r['cpu_s']} | {r['wall_s']} | {r['peak_mb']} | {r['mb']} |")


if __name__ == "__main__":
    main()
