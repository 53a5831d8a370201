"""Stages on disk with the units every file of ours declares, and small authoring verbs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.poses import Pose


@contextmanager
def new_stage(path: Path) -> Iterator[Any]:
    """A `Usd.Stage` saved to `path` (`.usd` binary, `.usda` text) on leaving: z up, metres, kilograms. Payloads are
    referred to, not opened."""
    from pxr import Sdf, Usd, UsdGeom, UsdPhysics

    path.parent.mkdir(parents=True, exist_ok=True)
    old = Sdf.Layer.Find(str(path))
    if old:  # still open somewhere in this process
        old.Clear()
    layer = old or Sdf.Layer.CreateNew(str(path))
    stage = Usd.Stage.Open(layer, Usd.Stage.LoadNone)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    UsdPhysics.SetStageKilogramsPerUnit(stage, 1.0)
    yield stage
    layer.Save()


def set_root(stage: Any, prim: Any, kind: str) -> None:
    """Make `prim` the default prim, of a kind (assembly, group, component)."""
    from pxr import Usd

    stage.SetDefaultPrim(prim)
    Usd.ModelAPI(prim).SetKind(kind)


def set_pose(xform: Any, pose: Pose) -> None:
    """Translate and orient operations in double precision."""
    from pxr import Gf, UsdGeom

    xform.AddTranslateOp().Set(Gf.Vec3d(*pose.translation.tolist()))
    xform.AddOrientOp(UsdGeom.XformOp.PrecisionDouble).Set(Gf.Quatd(*pose.quat_wxyz.tolist()))


def vec3f(v: np.ndarray) -> Any:
    from pxr import Gf

    return Gf.Vec3f(*(float(x) for x in v))


def attribute(prim: Any, schema: str, **values: tuple[str, Any]) -> None:
    """Apply a schema by name (its plugin need not be installed) and set `name__part=(type, value)` as `name:part`."""
    from pxr import Sdf

    prim.AddAppliedSchema(schema)
    for name, (kind, value) in values.items():
        uniform = kind.startswith("uniform ")
        prim.CreateAttribute(
            name.replace("__", ":"), getattr(Sdf.ValueTypeNames, kind.removeprefix("uniform ")), custom=False,
            variability=Sdf.VariabilityUniform if uniform else Sdf.VariabilityVarying,
        ).Set(value)  # fmt: skip


def extents_hint(prim: Any) -> None:
    """Author the model's `extentsHint` from what is drawn."""
    from pxr import Usd, UsdGeom

    cache = UsdGeom.BBoxCache(
        Usd.TimeCode.Default(), [UsdGeom.Tokens.default_, UsdGeom.Tokens.render, UsdGeom.Tokens.guide]
    )
    api = UsdGeom.ModelAPI.Apply(prim)
    api.SetExtentsHint(api.ComputeExtentsHint(cache))


def label(prim: Any, text: str, *, kind: str = "class") -> None:
    """Semantics: `UsdSemantics.LabelsAPI`."""
    from pxr import UsdSemantics

    UsdSemantics.LabelsAPI.Apply(prim, kind).CreateLabelsAttr([text])
