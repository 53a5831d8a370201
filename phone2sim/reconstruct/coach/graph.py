"""Which frames hang together: pairs worth matching, the graph of those that hold, and its separate groups."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.coach.matches import Features, Pair, match, products

ALL_PAIRS = 16
"""Up to this many frames every pair is matched."""
ALIKE = 4
"""Similar frames matched with each photo."""
BRIDGES = 16
"""Pairs between separate groups that get a second, closer look."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Matched pairs by (i, j), i < j."""

    count: int
    pairs: dict[tuple[int, int], Pair]

    @property
    def holding(self) -> list[Pair]:
        return [p for p in self.pairs.values() if p.holds]

    def groups(self) -> list[list[int]]:
        """Frames joined by pairs that hold, the largest group first."""
        parent = list(range(self.count))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = i = parent[parent[i]]
            return i

        for p in self.holding:
            a, b = root(p.i), root(p.j)
            parent[max(a, b)] = min(a, b)
        found: dict[int, list[int]] = {}
        for i in range(self.count):
            found.setdefault(root(i), []).append(i)
        return sorted(found.values(), key=lambda g: (-len(g), g))

    def best(self, i: int) -> int:
        """Most matches that frame i shares with any other."""
        return max((p.shared for p in self.pairs.values() if p.holds and i in (p.i, p.j)), default=0)


def candidates(features: list[Features], *, ordered: bool) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Pairs worth matching, and the (n, n) scores of likeness they were chosen by.

    A clip: the next two frames, every second frame's fourth and eighth next, a few across the whole clip, and look-alikes
    far apart. Photos: neighbours in order and look-alikes.
    """
    n = len(features)
    score = likeness(features)
    if n <= ALL_PAIRS:
        return [(i, j) for i in range(n) for j in range(i + 1, n)], score
    pairs = {(i, i + g) for g in (1, 2) for i in range(n - g)}
    far = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) > (8 if ordered else 2)
    if ordered:
        pairs |= {(i, i + g) for g in (4, 8) for i in range(0, n - g, 2)}
        marks = sorted({round(k * (n - 1) / 5) for k in range(6)})
        pairs |= {(i, j) for i in marks for j in marks if i < j}
    ranked = np.where(far, score, -1)
    for i in range(0, n, 2 if ordered else 1):
        for j in np.argsort(-ranked[i], kind="stable")[: 1 if ordered else ALIKE]:
            if ranked[i, j] > 3:
                pairs.add((min(i, int(j)), max(i, int(j))))
    return sorted(pairs), score


def likeness(features: list[Features], count: int = 64) -> np.ndarray:
    """(n, n) numbers of the `count` largest features that have a close relative in the other frame, both ways."""
    n = len(features)
    count = count if n <= 120 else count // 2
    stack = np.zeros((n, count, 128), np.float32)
    for i, f in enumerate(features):
        part = f.descriptor[:count]
        stack[i, : len(part)] = part
    everything = stack.reshape(n * count, 128)
    score = np.zeros((n, n), int)
    for i in range(n):
        near = products(stack[i], everything).reshape(count, n, count).max(axis=2)
        score[i] = np.count_nonzero(near > 0.92, axis=0)
    np.fill_diagonal(score, 0)
    return score + score.T


def connect(
    features: list[Features], diagonals: list[float], *, ordered: bool, closer: Callable[[int], Features],
    advance: Callable[[], None] = lambda: None,
) -> Graph:  # fmt: skip
    """Match the candidates; what stays apart is looked at again through `closer(i)`, finer features of a frame."""
    wanted, score = candidates(features, ordered=ordered)
    pairs: dict[tuple[int, int], Pair] = {}
    for i, j in wanted:
        pairs[i, j] = match(features[i], features[j], i, j, diagonals[i])
        advance()
    graph = Graph(count=len(features), pairs=pairs)
    for i, j in bridges(graph.groups(), score):
        again = match(closer(i), closer(j), i, j, diagonals[i])
        if (i, j) not in pairs or again.shared > pairs[i, j].shared:
            pairs[i, j] = again
    return graph


def bridges(groups: list[list[int]], score: np.ndarray) -> list[tuple[int, int]]:
    """The likeliest pairs between groups: where one follows another, and the most alike of each two groups."""
    label = np.empty(len(score), int)
    for k, members in enumerate(groups):
        label[members] = k
    chosen = [(i, i + 1) for i in range(len(score) - 1) if label[i] != label[i + 1]]
    taken: dict[tuple[int, int], int] = {}
    i, j = np.nonzero(np.triu(label[:, None] != label[None, :], 2))
    for k in np.argsort(-score[i, j], kind="stable"):
        between = (min(label[i[k]], label[j[k]]), max(label[i[k]], label[j[k]]))
        if taken.get(between, 0) < 3:
            taken[between] = taken.get(between, 0) + 1
            chosen.append((int(i[k]), int(j[k])))
    return sorted(chosen[:BRIDGES])
