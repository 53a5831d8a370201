"""A scene in the browser: splat, objects as meshes, splats or hulls, physics, the captured cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.intervals import Interval
from phone2sim.poses import Pose
from phone2sim.sim_export.viewer.draw import add_cameras, add_hulls, add_mesh, add_splat, look_at

OBJECTS = ("meshes", "splats", "hulls", "none")


@dataclass(frozen=True, kw_only=True)
class SceneView:
    """Nodes and controls of a scene that is shown."""

    background: Any
    static: Any | None
    objects: dict[str, list[Any]]
    """How objects are shown (of `OBJECTS`) → their nodes."""
    how: Any
    """The dropdown that chooses among them."""
    cameras: Any


def show_scene(server: Any, scene: Scene) -> SceneView:
    """Put a scene into a `viser.ViserServer`, with its controls."""
    centre, distance = middle(scene)
    look_at(server, centre, distance)
    view = SceneView(
        background=add_splat(server, "/background/splat", scene.background),
        static=None if scene.background_mesh is None else _static(server, scene),
        objects={
            "meshes": [add_mesh(server, f"/objects/{a.name}/mesh", a.visual, a.T_world_asset) for a in scene.assets],
            "splats": [
                add_splat(server, f"/objects/{a.name}/splat", a.splat, a.T_world_asset) for a in scene.assets if a.splat is not None
            ],
            "hulls": [add_hulls(server, f"/objects/{a.name}/hulls", a.hulls, a.T_world_asset) for a in scene.assets],
        },
        how=server.gui.add_dropdown("Objects", OBJECTS, initial_value="meshes"),
        cameras=add_cameras(server, "/cameras", scene.cameras),
    )
    view.cameras.visible = False
    _choose(view)
    view.how.on_update(lambda _: _choose(view))
    _toggle(server, "Background", view.background, True)
    if view.static is not None:
        _toggle(server, "Static collision mesh", view.static, False)
    _toggle(server, "Captured cameras", view.cameras, False)
    with server.gui.add_folder("Objects"):
        server.gui.add_markdown("\n\n".join(describe(a) for a in scene.assets) or "There are none.")
    if scene.notes:
        with server.gui.add_folder("Notes"):
            server.gui.add_markdown("\n".join(f"- {n}" for n in scene.notes))
    return view


def middle(scene: Scene) -> tuple[np.ndarray, float]:
    """Where to look (3,) and from how far [m]: at the support, else at what the cameras see; as far as they were."""
    if scene.supports:
        centre = scene.supports[0].T_world_surface.translation
    else:
        centre = np.median(scene.background.means, axis=0)
    return np.asarray(centre, float), float(np.median(np.linalg.norm(scene.cameras.centres - centre, axis=1)))


def describe(asset: Asset) -> str:
    """Name, size and physics of an object in Markdown, every estimate with its interval."""
    size = " × ".join(f"{1e3 * x:.0f}" for x in asset.extents_m)
    hulls = "1 hull" if len(asset.hulls) == 1 else f"{len(asset.hulls)} hulls"
    return (
        f"**{asset.name}** {asset.label}, {asset.material}  \n{size} mm, {hulls}, {asset.seen_fraction:.0%} seen  \n"
        f"{_span(asset.mass_kg, 1e3, '.0f')} g, friction {_span(asset.friction, 1, '.2f')}"
    )


def _span(x: Interval, scale: float, form: str) -> str:
    value, low, high = (format(scale * v, form) for v in (x.value, x.low, x.high))
    return f"{value} ({low} to {high})"


def _static(server: Any, scene: Scene) -> Any:
    assert scene.background_mesh is not None
    return add_mesh(server, "/background/mesh", scene.background_mesh, Pose.identity())


def _choose(view: SceneView) -> None:
    for how, nodes in view.objects.items():
        for node in nodes:
            node.visible = how == view.how.value


def _toggle(server: Any, label: str, node: Any, on: bool) -> None:
    node.visible = on
    box = server.gui.add_checkbox(label, initial_value=on)
    box.on_update(lambda _: setattr(node, "visible", box.value))
