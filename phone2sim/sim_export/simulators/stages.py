"""`EpisodeStages`: the folder of USD that an engine opens episodes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.usd.articulation import write_articulation
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.dataset import write_strangers
from phone2sim.sim_export.usd.episode import build_episode_layer
from phone2sim.sim_export.usd.episode_objects import LIBRARY
from phone2sim.sim_export.usd.opinions import prim, put
from phone2sim.sim_export.usd.robot import RobotReference
from phone2sim.sim_export.usd.scene import write_usd


class EpisodeStages:
    """Writes the scene once, each robot and each further asset when it first appears, and a layer an episode."""

    def __init__(self, scene: Scene, folder: Path, *, looks: bool) -> None:
        """`looks`: whether the engine draws, and so has a use for Gaussians."""
        self.scene, self.folder = scene, folder
        self.config = UsdConfig(cameras=0, splats=looks, package=False)
        write_usd(scene, folder / "scene", self.config)

    def write(self, spec: EpisodeSpec) -> Path:
        """`episode.usda` of this spec, in place of the last one: its layer, with objects that report what touches them."""
        write_strangers(spec, self.scene, self.folder / LIBRARY, self.config)
        robot = get_robot(spec.robot.model)
        path = self.folder / "robot" / f"{robot.name}.usd"
        if not path.exists():
            write_articulation(robot, path)
        layer = build_episode_layer(spec, self.scene, robot=RobotReference(path=f"./robot/{robot.name}.usd", own=True))
        for o in spec.objects:
            _report_contacts(prim(layer, f"/World/Props/{o.name}"))
        target = self.folder / "episode.usda"
        target.write_text(layer.ExportToString())
        return target


def _report_contacts(spec: Any) -> None:
    from pxr import Sdf

    spec.SetInfo("apiSchemas", Sdf.TokenListOp.Create(prependedItems=["PhysxContactReportAPI"]))
    put(spec, "Float", "physxContactReport:threshold", 0.0)
