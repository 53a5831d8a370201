"""`Scene` → OpenUSD: one payload per asset, UsdPhysics, splats as particle fields. Only this package knows `pxr`."""

from phone2sim.sim_export.usd.scene import UsdConfig, write_usd

__all__ = ["UsdConfig", "write_usd"]
