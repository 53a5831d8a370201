"""`phone2sim export`: the scene as USD and MJCF."""

from __future__ import annotations

from phone2sim.cli.options import Force, Json, Quiet, SceneDir, check_scene
from phone2sim.cli.output import output


def export(scene: SceneDir, force: Force = False, json: Json = False, quiet: Quiet = False) -> None:
    """Write a scene as USD (Isaac Sim) and MJCF (MuJoCo).

    With UsdPhysics masses, frictions and convex colliders; both files open on their own.
    """
    check_scene(scene)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.cli.summary import export_files
        from phone2sim.sim_export.pipeline import ExportConfig, export_scene

        export_scene(scene, ExportConfig(), force=force)
        files = export_files(scene)
        o.result({"scene": str(scene), **files})
        o.show(*[f"{k:5} {v}" for k, v in files.items()])
