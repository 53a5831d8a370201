"""torchvision's compiled operators are missing beside a CPU torch; readers of data sets need only its Python part."""

from __future__ import annotations

import sys
import types

_kept: list[object] = []


def prepare_torchvision() -> None:
    """Declare the one operator that importing torchvision asks for. Call before anything imports it."""
    from torch import library as operators

    try:
        declared = operators.Library("torchvision", "DEF")
        declared.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(declared)
    except RuntimeError:
        pass
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
