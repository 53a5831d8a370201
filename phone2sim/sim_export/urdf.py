"""`Asset` → URDF: one link with its visual, its convex hulls and its exact inertia. Metres, the asset frame."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.primitives import Primitive
from phone2sim.assets.scene import Asset


def build_urdf(asset: Asset) -> ET.Element:
    """The robot element; meshes are named relative to the URDF's folder, under `meshes/<name>/`."""
    robot = ET.Element("robot", name=asset.name)
    link = ET.SubElement(robot, "link", name=asset.name)
    inertial = ET.SubElement(link, "inertial")
    ET.SubElement(inertial, "origin", xyz=_text(asset.inertia.center_of_mass), rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=f"{asset.mass_kg.value:.9g}")
    m = asset.inertia.moments
    rows = {"ixx": m[0, 0], "ixy": m[0, 1], "ixz": m[0, 2], "iyy": m[1, 1], "iyz": m[1, 2], "izz": m[2, 2]}
    ET.SubElement(inertial, "inertia", {k: f"{v:.9g}" for k, v in rows.items()})
    _mesh(ET.SubElement(link, "visual", name="visual"), f"meshes/{asset.name}/visual.glb")
    for i, hull in enumerate(asset.hulls):
        collision = ET.SubElement(link, "collision", name=f"hull_{i:03d}")
        if hull.primitive is None or hull.primitive.kind == "capsule":  # URDF has none
            _mesh(collision, f"meshes/{asset.name}/hull_{i:03d}.obj")
        else:
            _primitive(collision, hull.primitive)
    contact = ET.SubElement(link, "contact")
    ET.SubElement(contact, "lateral_friction", value=f"{asset.friction.value:.9g}")
    ET.SubElement(contact, "restitution", value=f"{asset.restitution.value:.9g}")
    return robot


def write_urdf(asset: Asset, folder: Path) -> Path:
    """Write `folder/<name>.urdf` and its meshes; returns the path."""
    meshes = folder / "meshes" / asset.name
    asset.visual.save_glb(meshes / "visual.glb")
    for i, hull in enumerate(asset.hulls):
        (meshes / f"hull_{i:03d}.obj").write_text(_obj(hull))
    robot = build_urdf(asset)
    ET.indent(robot)
    path = folder / f"{asset.name}.urdf"
    path.write_text(ET.tostring(robot, encoding="unicode", xml_declaration=True) + "\n")
    return path


def _mesh(parent: ET.Element, file: str) -> None:
    ET.SubElement(parent, "origin", xyz="0 0 0", rpy="0 0 0")
    ET.SubElement(ET.SubElement(parent, "geometry"), "mesh", filename=file)


def _primitive(parent: ET.Element, p: Primitive) -> None:
    R = p.T_asset_primitive.rotation  # roll, pitch, yaw about fixed axes
    rpy = [np.arctan2(R[2, 1], R[2, 2]), -np.arcsin(np.clip(R[2, 0], -1, 1)), np.arctan2(R[1, 0], R[0, 0])]
    ET.SubElement(parent, "origin", xyz=_text(p.T_asset_primitive.translation), rpy=_text(np.array(rpy)))
    geometry = ET.SubElement(parent, "geometry")
    if p.kind == "box":
        ET.SubElement(geometry, "box", size=_text(2 * np.array(p.size_m)))
    elif p.kind == "sphere":
        ET.SubElement(geometry, "sphere", radius=f"{p.size_m[0]:.9g}")
    else:
        ET.SubElement(geometry, "cylinder", radius=f"{p.size_m[0]:.9g}", length=f"{2 * p.size_m[1]:.9g}")


def _obj(mesh: TexturedMesh) -> str:
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
    return "\n".join(lines) + "\n"


def _text(v: np.ndarray) -> str:
    return " ".join(f"{float(x):.9g}" for x in v)
