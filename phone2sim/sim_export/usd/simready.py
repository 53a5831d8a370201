"""What NVIDIA's SimReady profile for props asks beyond USD: where files lie, a thumbnail, and provenance in the layer.

assets/<name>/usd/<name>.usd      alone in its folder; textures and splats in folders beside it
assets/<name>/usd/.thumbs/256x256/<name>.usd.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from phone2sim.assets.preview import asset_picture
from phone2sim.assets.scene import Asset
from phone2sim.images import write_rgb
from phone2sim.sim_export.usd.layer import vec3f

THUMBNAIL_PX = 256
PHYSICAL_OBJECT = "Q223557"
WIKIDATA = {
    "apple": "Q89", "ball": "Q18545", "banana": "Q503", "book": "Q571", "bottle": "Q80228", "bowl": "Q153988",
    "box": "Q188075", "cup": "Q81727", "mug": "Q386215", "spoon": "Q81895",
}  # fmt: skip
"""Items of wikidata.org for class names; any other is a physical object."""


def asset_file(name: str) -> str:
    """Where the USD of an asset lies, relative to the folder of `scene.usda`."""
    return f"assets/{name}/usd/{name}.usd"


def wikidata_item(label: str) -> str:
    return WIKIDATA.get(label.lower().split()[-1] if label.strip() else "", PHYSICAL_OBJECT)


def write_thumbnail(asset: Asset, file: Path) -> Path:
    """The picture that asset browsers show, beside the USD `file`."""
    path = file.parent / ".thumbs" / f"{THUMBNAIL_PX}x{THUMBNAIL_PX}" / f"{file.name}.png"
    write_rgb(path, asset_picture(asset, size=THUMBNAIL_PX))
    return path


def set_provenance(stage: Any, asset: Asset, *, author: str, licence: str, date: str) -> None:
    """The dictionary `SimReady_Metadata` of the root layer; `date` is ISO."""
    layer = stage.GetRootLayer()
    layer.customLayerData = {
        "SimReady_Metadata": {
            "author": author, "asset_name": asset.name, "asset_type": "prop", "asset_license": licence,
            "category": asset.label, "source_file": f"scene/{asset.name}", "usd_date_generated": date,
            "qcode": wikidata_item(asset.label), "rigid_body_count": 1, "asset_extents": vec3f(asset.extents_m),
            "mass": float(asset.mass_kg.value),
        }
    }  # fmt: skip
