"""The printed scale sheet: an A6 page with four AprilTags (tag36h11) whose ids no other sheet uses.

Because its ids are its own, seeing them fixes the metric scale without asking; any other tag needs `--tag-size`.
Sheet frame: origin at the page's centre, x right, y up on the page, z out of it; metres.
"""

from __future__ import annotations

import numpy as np

FAMILY = "tag36h11"
TAG_IDS = (583, 584, 585, 586)
TAG_EDGE_M = 0.040
"""Outer edge of a tag's black border."""
TAG_PITCH_M = 0.050
"""Distance between neighbouring tag centres."""
PAGE_M = (0.105, 0.148)
"""Width and height of the page (A6)."""


def corners() -> dict[int, np.ndarray]:
    """Tag id → (4, 3) corners [m] in the sheet frame: top-left, top-right, bottom-right, bottom-left as printed."""
    e = TAG_EDGE_M / 2
    square = np.array([[-e, e, 0], [e, e, 0], [e, -e, 0], [-e, -e, 0]])
    p = TAG_PITCH_M / 2
    centres = [(-p, p), (p, p), (-p, -p), (p, -p)]
    return {i: square + np.array([x, y, 0.0]) for i, (x, y) in zip(TAG_IDS, centres, strict=True)}


def picture(px_per_m: float = 6000.0) -> np.ndarray:
    """The page as (h, w) uint8, white with black tags; row 0 is the top of the page."""
    import cv2

    w, h = (round(s * px_per_m) for s in PAGE_M)
    page = np.full((h, w), 255, np.uint8)
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    n = round(TAG_EDGE_M * px_per_m)
    for tag, c in corners().items():
        x, y = (c[0, 0] + PAGE_M[0] / 2) * px_per_m, (PAGE_M[1] / 2 - c[0, 1]) * px_per_m
        page[round(y) : round(y) + n, round(x) : round(x) + n] = cv2.aruco.generateImageMarker(dictionary, tag, n)
    return page
