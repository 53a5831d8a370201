"""`Asset` → URDF: one link with its visual, its convex hulls and its exact inertia. Metres, the asset frame."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
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
    for i in range(len(asset.hulls)):
        _mesh(ET.SubElement(link, "collision", name=f"hull_{i:03d}"), f"meshes/{asset.name}/hull_{i:03d}.obj")
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


def _obj(mesh: TexturedMesh) -> str:
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in mesh.vertices.tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces.tolist()]
    return "\n".join(lines) + "\n"


def _text(v: np.ndarray) -> str:
    return " ".join(f"{float(x):.9g}" for x in v)
