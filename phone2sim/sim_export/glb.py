"""The whole scene as one GLB, for viewers: each asset a node at its captured pose. glTF is y up."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
        out.add_geometry(mesh.to_trimesh(), node_name=name, geom_name=name, transform=_Y_UP @ T)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.export(file_type="glb"))
    return path
