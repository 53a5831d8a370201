"""`Scene` → OpenUSD: one payload per asset, UsdPhysics, splats as particle fields; an episode as a layer over it. Only this
package knows `pxr`."""

from phone2sim.sim_export.usd.articulation import write_articulation
from phone2sim.sim_export.usd.config import UsdConfig
from phone2sim.sim_export.usd.episode import build_episode_layer, write_episode_layer
from phone2sim.sim_export.usd.lint import lint_usd
from phone2sim.sim_export.usd.robot import RobotReference
from phone2sim.sim_export.usd.scene import write_usd
from phone2sim.sim_export.usd.simready import asset_file

__all__ = [
    "RobotReference", "UsdConfig", "asset_file", "build_episode_layer", "lint_usd", "write_articulation",
    "write_episode_layer", "write_usd",
]  # fmt: skip
