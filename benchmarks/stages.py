"""What each stage of a demo took on this machine, as a Markdown table: `python benchmarks/stages.py demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from phone2sim.cli.doctor import examine
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.mesh.surface import SurfaceMesh
from phone2sim.sim_export.report import read_dataset, read_scene
from phone2sim.sim_export.report.dataset_sections import attempts
from phone2sim.stage import read_manifest


def rows(demo: Path) -> list[tuple[str, str, str]]:
    """(stage, seconds, what came out)."""
    scene, dataset = read_scene(demo / "scene"), read_dataset(demo / "picks")
    sample = read_manifest(demo / "sample") or {}
    r, s = scene.registration, scene.splat
    what = {
        "capture": f"{r.get('total')} frames",
        "cameras": f"{r.get('registered')} registered, {r.get('reprojection_px')} px",
        "splat": f"{s.get('psnr')} dB held out, {s.get('gaussians')} Gaussians",
        "mesh": f"{scene.result('mesh').get('faces')} triangles{surface(demo)}",
        "scene": f"{len(scene.assets)} objects",
        "export": "USD and MJCF",
    }
    found = [("sample", f"{sample.get('seconds', 0):.1f}", "the synthetic clip")]
    found += [(name, f"{seconds:.1f}", what.get(name, "")) for name, seconds in scene.seconds.items()]
    tried, kept = attempts(dataset)
    seconds = dataset.manifest.get("seconds")
    found.append(
        (
            "generate",
            f"{seconds:.1f}" if seconds else "",
            f"{len(dataset.episodes)} episodes, {kept} of {tried} picks succeeded",
        )
    )
    return found


def surface(demo: Path) -> str:
    """How far the mesh lies from the sample's own surfaces; empty for anything but a demo."""
    truth, mesh = demo / "sample" / "clip.truth.json", demo / "scene" / "mesh" / "mesh.ply"
    if not truth.exists() or not mesh.exists():
        return ""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.e2e.surface import Aligned, surface_error

    found = SurfaceMesh.load_ply(mesh)
    aligned = Aligned.of(Cameras.load(demo / "scene" / "cameras" / "transforms.json"), truth)
    error = 1e3 * surface_error(aligned(found.vertices), found.faces, room=True, lowest_m=-0.1)
    return f", {np.median(error):.1f} mm from the truth, 90 % within {np.percentile(error, 90):.1f} mm"


def main(demo: Path) -> None:
    machine = examine()["machine"]
    print(
        f"{machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}, GPU: {machine['gpu'] or 'none'}\n"
    )
    print("| stage | seconds | result |\n|---|---:|---|")
    for row in rows(demo):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
