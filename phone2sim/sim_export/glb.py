"""The whole scene as one GLB, for viewers: each asset a node at its captured pose. glTF is y up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Scene

_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def write_glb(scene: Scene, path: Path) -> Path:
    """Write the assets and, where there is one, the background mesh; returns the path."""
    import trimesh

    out = trimesh.Scene(base_frame="world")
    rows = [(a.name, a.visual, a.T_world_asset.matrix) for a in scene.assets]
    if scene.background_mesh is not None:
        rows.append(("background", scene.background_mesh, np.eye(4)))
    for name, mesh, T in rows:
        out.add_geometry(to_trimesh(mesh), node_name=name, geom_name=name, transform=_Y_UP @ T)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.export(file_type="glb"))
    return path


def to_trimesh(mesh: TexturedMesh) -> Any:
    """The mesh as `trimesh.Trimesh`, its texture as a PBR material; its own axes."""
    import trimesh
    from PIL import Image

    m = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False, vertex_normals=mesh.vertex_normals())
    if mesh.uv is not None and mesh.texture is not None:
        material = trimesh.visual.material.PBRMaterial(
            baseColorTexture=Image.fromarray(mesh.texture), roughnessFactor=0.7, metallicFactor=0.0
        )
        m.visual = trimesh.visual.TextureVisuals(uv=mesh.uv, material=material)
    return m
