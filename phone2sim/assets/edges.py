"""Where low things end: photos show their height inside, where there is texture, and their colours end at an edge.

The cells between what is surely raised and what is surely ground are parted by the convex form of a two-label cut (Chan,
Esedoglu and Nikolova 2006): colours and heights say which side a cell is on, and the border costs less where the picture has an edge."""

from __future__ import annotations

import numpy as np

from phone2sim.assets.relief import TELLS, Relief

BINS = 16
"""Of each channel of a histogram of colours."""
NEW_COLOUR = 0.1, 0.01
"""Share of cells whose colours neither the sure part of a thing nor the ground around it have shown: of the thing, of the ground.
A small part of the thing is known, but much of the ground."""
MOST_SAID = 3.0
"""Log-likelihood ratio of one cell's colour at most."""
FLAT, RAISED = 6.0, 1.0
"""Weights of what the photos say of one cell's height, beside that of its colour. They disagree on the ground beside a thing, too,
where it hides it from some of them, so only that they agree on the ground is sure."""
ROUNDS = 3
"""The colours of a thing are learnt anew from its whole (GrabCut, Rother et al. 2004)."""
BORDER = 1.0
"""Cost of a border as long as a cell is wide, without an edge there."""
STEPS = 250
"""Of the primal-dual iteration (Chambolle and Pock 2011); the border moves no more then."""


def outlined(relief: Relief, core: np.ndarray, flat: np.ndarray, barred: np.ndarray, *, reach_m: float) -> np.ndarray:
    """The raised cells `core` (nx, ny) bool completed to the edges of the things they are of, within `reach_m` [m].

    The ground `flat` (nx, ny) bool and the cells `barred` stay out.
    """
    from scipy import ndimage

    out = np.zeros_like(core)
    parts, _ = ndimage.label(core, np.ones((3, 3)))
    margin = int(reach_m / relief.cell) + 1
    for n, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        box = np.s_[max(rows.start - margin, 0) : rows.stop + margin, max(columns.start - margin, 0) : columns.stop + margin]
        mine, barred_here = parts[box] == n, barred[box]
        away = ndimage.distance_transform_edt(~mine) * relief.cell
        near = (away <= reach_m) & ~barred_here
        sure = ndimage.binary_erosion(mine & (relief.sure[box] > 2 * TELLS)) & ~barred_here
        ground = near & flat[box] & (relief.nearby[box] < -TELLS)  # squares bleed over the edge
        if ground.sum() < sure.sum():  # little of it has texture
            ground |= near & (away > 0.5 * reach_m)
        if sure.sum() < 20 or ground.sum() < 20:
            continue
        picture, nearby = relief.picture[box], relief.nearby[box]
        height = np.where(nearby < 0, FLAT, RAISED) * nearby
        thing = sure
        for _ in range(ROUNDS):
            says = likelihood(picture, thing, ground & ~thing) + height
            says[sure] = 20
            says[~near] = -20
            whole = ndimage.binary_propagation(sure, mask=parted(says, picture, barred_here), structure=np.ones((3, 3)))
            thing = whole & (nearby > 0)
        out[box] |= ndimage.binary_closing(whole, np.ones((3, 3))) & ~barred_here
    return out


def likelihood(picture: np.ndarray, thing: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(nx, ny) log of how much better a cell's colour suits the cells `thing` than the cells `ground`, from smoothed histograms."""
    from scipy import ndimage

    at = np.moveaxis((picture + 0.5) * (BINS / 256) - 0.5, 2, 0)
    said = []
    for cells, new in zip((thing, ground), NEW_COLOUR, strict=True):
        h = np.histogramdd(picture[cells], bins=BINS, range=[(0, 256)] * 3)[0] / cells.sum()
        smooth = ndimage.map_coordinates(ndimage.gaussian_filter(h, 0.8), at, order=1, mode="nearest")
        said.append(np.log((1 - new) * smooth + new / BINS**3))
    return np.asarray(np.clip(said[0] - said[1], -MOST_SAID, MOST_SAID))


def parted(says: np.ndarray, picture: np.ndarray, barred: np.ndarray) -> np.ndarray:
    """(nx, ny) bool: the side of the least cut; `says` (nx, ny) > 0 where a cell had rather be in it.

    Minimises Σ −says·u + Σ g |∇u| over 0 ≤ u ≤ 1, whose threshold is a least cut. Edges with a cell `barred` count as none.
    """
    step = [np.diff(picture.astype(np.float32), axis=a, append=np.take(picture, [-1], axis=a)) for a in (0, 1)]
    size = np.sqrt(sum((s * s).mean(axis=2) for s in step))
    size[barred] = 0
    usual = float(np.median(size[~barred])) + 2.0
    g = (BORDER * np.exp(-0.5 * (size / (2 * usual)) ** 2)).astype(np.float32)
    f = says.astype(np.float32)
    u = (f > 0).astype(np.float32)
    ahead = u.copy()
    p, q = np.zeros_like(u), np.zeros_like(u)
    rate = np.float32(1 / np.sqrt(8))
    for _ in range(STEPS):
        p[:-1] += rate * np.diff(ahead, axis=0)
        q[:, :-1] += rate * np.diff(ahead, axis=1)
        over = np.maximum(1, np.hypot(p, q) / np.maximum(g, 1e-6))
        p, q = p / over, q / over
        pull = p + q
        pull[1:] -= p[:-1]
        pull[:, 1:] -= q[:, :-1]
        new = np.clip(u + rate * (pull + f), 0, 1)
        ahead, u = 2 * new - u, new
    return u > 0.5
