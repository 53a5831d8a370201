"""`EpisodeStages`: the folder of USD that an engine opens episodes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.usd.articulation import set_start, write_articulation
from phone2sim.sim_export.usd.episode import EPISODE, build_episode_layer
from phone2sim.sim_export.usd.opinions import prim
from phone2sim.sim_export.usd.props import write_asset
from phone2sim.sim_export.usd.robot import RobotReference
from phone2sim.sim_export.usd.scene import UsdConfig, write_usd


class EpisodeStages:
    """Writes the scene once, each robot and each further asset when it first appears, and a layer an episode."""

    def __init__(self, scene: Scene, folder: Path, *, looks: bool) -> None:
        """`looks`: whether the engine draws, and so needs the background."""
        self.scene, self.folder = scene, folder
        write_usd(scene, folder / "scene", UsdConfig(cameras=0, splats=looks, package=False))

    def write(self, spec: EpisodeSpec) -> Path:
        """`episode.usda` of this spec, in place of the last one: the episode's layer, and what physics wants of it: joints
        at their start, servo gains, and objects that report what touches them."""
        for o in spec.objects:
            asset = self.scene.asset(o.asset)
            if not (self.folder / "scene" / "assets" / asset.name / f"{asset.name}.usd").exists():
                write_asset(asset, self.folder / "scene" / "assets" / asset.name)
        robot = get_robot(spec.robot.model)
        path = self.folder / "robot" / f"{robot.name}.usd"
        if not path.exists():
            write_articulation(robot, path)
        reference = RobotReference(path=f"./robot/{robot.name}.usd", own=True)
        layer = build_episode_layer(spec, self.scene, robot=reference)
        start = spec.robot
        set_start(layer, f"{EPISODE}/Robot", robot, start.qpos, start.gripper, gain=start.gain, damping=start.damping)
        for o in spec.objects:
            _report_contacts(prim(layer, f"/World/Props/{o.name}"))
        target = self.folder / "episode.usda"
        target.write_text(layer.ExportToString())
        return target


def _report_contacts(spec: Any) -> None:
    from pxr import Sdf

    from phone2sim.sim_export.usd.opinions import put

    spec.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=["PhysxContactReportAPI"]))
    put(spec, "Float", "physxContactReport:threshold", 0.0)
