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
    spec.SetInfo("customData", {"phone2sim": to_dictionary(values)})


def to_dictionary(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-like values as a dictionary of USD's: numbers and texts in arrays, lists of objects by their place, None left
    out."""
    from pxr import Vt

    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out[key] = to_dictionary(value)
        elif isinstance(value, (list, tuple)):
            if all(isinstance(v, str) for v in value):
                out[key] = Vt.StringArray(list(value))
            elif all(isinstance(v, Mapping) for v in value):
                out[key] = to_dictionary({f"_{i}": v for i, v in enumerate(value)})
            else:
                out[key] = Vt.DoubleArray(
                    [float(x) for v in value for x in (v if isinstance(v, (list, tuple)) else [v])]
                )
        elif isinstance(value, str):
            out[key] = " ".join(value.split())
        elif value is not None:
            out[key] = value
    return out


def vec3d(v: Any) -> Any:
    from pxr import Gf

    return Gf.Vec3d(*(float(x) for x in v))


def quatd(wxyz: np.ndarray) -> Any:
    from pxr import Gf

    return Gf.Quatd(*(float(x) for x in wxyz))
