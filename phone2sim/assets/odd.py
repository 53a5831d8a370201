"""Parts of a body that its symmetry leaves out, a handle for instance."""

from __future__ import annotations

import numpy as np

ODD = 5.0
"""How far [voxels] out of the rest such a part reaches; what a splat blurs of an edge before something far behind it ends sooner."""


def odd_parts(matter: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(nx, ny, nz) bool: the connected parts of `matter`, all of it `outside` of what the symmetry leaves, that reach far out of that."""
    from scipy import ndimage

    parts, n = ndimage.label(matter, np.ones((3, 3, 3)))
    reach = ndimage.maximum(ndimage.distance_transform_edt(outside), parts, np.arange(n + 1))
    return np.asarray(matter & (reach[parts] >= ODD))
