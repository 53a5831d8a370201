"""What the USD of a scene holds."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import Field

from phone2sim.config import Config


def today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


class UsdConfig(Config):
    """What the USD holds."""

    cameras: int = 24
    """At most this many of the capture's cameras."""
    splats: bool = True
    """The background and the objects as Gaussians too, where usd-core knows them."""
    package: bool = True
    """Also `scene.usdz`."""
    author: str = "phone2sim"
    """Of the assets, for catalogues."""
    licence: str = "proprietary"
    """Of the assets: they are the captured things' owner's."""
    date: str = Field(default_factory=today)
    """Day on which the assets were made, ISO."""
