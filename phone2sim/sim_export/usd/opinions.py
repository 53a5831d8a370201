"""Opinions written straight into a layer, without composing a stage: what an override layer is made of. Fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phone2sim.poses import Pose


def prim(layer: Any, path: str, kind: str = "") -> Any:
    """The prim at `path`; made there with its parents as an `over`, or as a definition of type `kind`."""
    from pxr import Sdf

    spec = Sdf.CreatePrimInLayer(layer, path)
    if kind:
        spec.specifier, spec.typeName = Sdf.SpecifierDef, kind
    return spec


def put(spec: Any, kind: str, name: str, value: Any) -> Any:
    """Set an attribute: `put(spec, "Float", "physics:mass", 0.3)`; `uniform Token` for a uniform one."""
    from pxr import Sdf

    uniform = kind.startswith("uniform ")
    attribute = spec.attributes.get(name) or Sdf.AttributeSpec(
        spec, name, getattr(Sdf.ValueTypeNames, kind.removeprefix("uniform ")),
        Sdf.VariabilityUniform if uniform else Sdf.VariabilityVarying,
    )  # fmt: skip
    attribute.default = value
    return attribute


def put_pose(spec: Any, pose: Pose, *, new: bool) -> None:
    """Translate and orient to 1e-9, as `layer.set_pose` names them; `new` also says their order."""
    put(spec, "Double3", "xformOp:translate", vec3d(np.round(pose.translation, 9)))
    put(spec, "Quatd", "xformOp:orient", quatd(np.round(pose.quat_wxyz, 9)))
    if new:
        from pxr import Vt

        put(spec, "uniform TokenArray", "xformOpOrder", Vt.TokenArray(["xformOp:translate", "xformOp:orient"]))


def set_data(spec: Any, values: Mapping[str, Any]) -> None:
    """`customData` of a prim, in our namespace; what weaker layers have there under other names stays."""
    spec.SetInfo("customData", {"phone2sim": dict(values)})


def vec3d(v: Any) -> Any:
    from pxr import Gf

    return Gf.Vec3d(*(float(x) for x in v))


def quatd(wxyz: np.ndarray) -> Any:
    from pxr import Gf

    return Gf.Quatd(*(float(x) for x in wxyz))
