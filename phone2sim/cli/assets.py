"""`phone2sim assets`: objects out of a reconstruction."""

from __future__ import annotations

from phone2sim.cli.options import Force, Json, Quiet, SceneDir, check_exists
from phone2sim.cli.output import output
from phone2sim.errors import InputError


def assets(scene: SceneDir, force: Force = False, json: Json = False, quiet: Quiet = False) -> None:
    """Only the objects of a reconstructed scene.

    Find the support plane, cut the objects out, close and texture them, give them mass, friction and hulls.
    """
    check_exists(scene, "Scene")
    if not (scene / "splat" / "manifest.json").exists():
        raise InputError(f"{scene} has no splat yet.", hint=f"First: phone2sim reconstruct CAPTURE -o {scene}")
    with output(json=json, quiet=quiet) as o:
        from phone2sim.assets.pipeline import AssetsConfig, build_assets
        from phone2sim.cli.summary import assets_json, assets_table
        from phone2sim.reconstruct.metric.rescale import settle_splat

        settle_splat(scene)
        build_assets(scene, AssetsConfig(), force=force)
        o.result({"scene": str(scene), "assets": assets_json(scene)})
        o.show(assets_table(scene), f"Next: phone2sim export {scene}")
