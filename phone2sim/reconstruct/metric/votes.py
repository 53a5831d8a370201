"""How votes on scale and up become one answer.

A vote is an interval: for the scale around a number (metres per unit of the model), for up a cone around a direction.
Sources fail in two ways. Each is a little off, which its interval covers; and now and then one is plainly wrong — a
sheet printed at 94 %, a typed 9.5 that meant centimetres, a device that lost track — which no interval covers. A mean
is right against the first and helpless against the second, so the rule has two steps:

1. **Who is believed.** The largest set of votes that all contain one common value wins; being wrong in the same way
   twice is rare, being right twice is not. Votes that only *guess* (how far phones are held, monocular depth, a
   rectangle that merely looks like paper) never outvote one that *measures*; they are only asked where measuring votes
   split into sets of equal size: then the set that more guesses agree with wins, then the one with the most trusted
   source (`TRUST`), then the narrower one. Everyone outside the winning set is named with the ratio.
2. **What they say together.** The mean of the winners in the logarithm (a scale is a ratio), each weighted by one over
   its squared half width, held within the interval that all of them contain. Agreement narrows the interval as
   1/√Σ(1/half²) does, widened again by how far the winners scatter (Birge 1932), never beyond the narrowest winner, and
   never below the smallest floor among them: what is wrong with a source in the same way at every look (print, paper,
   calibration) does not average out.

The order of the votes does not matter, and measuring in other units multiplies the answer and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from phone2sim.intervals import Interval

TRUST = (
    "device poses", "sheet", "board", "tag", "card", "a4", "letter", "length points", "length", "device depth",
    "support plane", "device", "imu", "monocular depth", "cameras", "handheld prior", "paper",
)  # fmt: skip
"""Most trusted first: who wins when two measuring sources contradict each other and nobody else has a say."""


@dataclass(frozen=True, kw_only=True)
class ScaleVote:
    """What one source says about the scale."""

    source: str
    interval: Interval
    """Metres per unit of the model; `why` names the evidence."""
    floor: float = 0.0
    """Relative half width that no agreement may go below."""
    guess: bool = False
    """It does not measure this scene, or cannot be told from something that looks alike."""

    @property
    def log(self) -> tuple[float, float, float]:
        """Low, value and high in the logarithm, at least as wide as the floor."""
        i, floor = self.interval, math.log1p(self.floor)
        x = math.log(i.value)
        return min(math.log(i.low), x - floor), x, max(math.log(i.high), x + floor)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a vote."""

    used: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class ScaleDecision:
    """The answer, and a verdict for each vote in the order given."""

    scale: Interval
    sources: tuple[str, ...]
    """Who decided, the heaviest first."""
    verdicts: tuple[Verdict, ...]
    flagged: tuple[str, ...]


def trust(source: str) -> int:
    """Position in `TRUST`; sources not listed come before the guesses."""
    return TRUST.index(source) if source in TRUST else TRUST.index("monocular depth") - 1


def combine_scale(votes: Sequence[ScaleVote]) -> ScaleDecision:
    """Decide among at least one vote, by the rule above."""
    order = sorted(range(len(votes)), key=lambda i: (trust(votes[i].source), votes[i].source, votes[i].log))
    measuring = [i for i in order if not votes[i].guess]
    asked, guesses = (measuring, [i for i in order if votes[i].guess]) if measuring else (order, [])
    winners = _believed(votes, asked, guesses)
    low = max(votes[i].log[0] for i in winners)
    high = min(votes[i].log[2] for i in winners)
    x, down, up = _together([votes[i] for i in winners], low, high)
    heaviest = sorted(winners, key=lambda i: (round(votes[i].log[2] - votes[i].log[0], 9), order.index(i)))
    lead = votes[heaviest[0]]
    sources = tuple(dict.fromkeys(votes[i].source for i in heaviest))
    why = lead.interval.why if len(winners) == 1 else f"{' and '.join(sources)} agree"
    scale = lead.interval
    if len(winners) > 1 or lead.floor > 0:
        scale = Interval(value=math.exp(x), low=math.exp(min(x, x - down)), high=math.exp(max(x, x + up)), why=why)
    verdicts, flagged = [], []
    for i, vote in enumerate(votes):
        l, v, h = vote.log
        ratio = math.exp(v - x)
        if i in winners:
            alone = "the only source that measures" if measuring else "nothing better to go by"
            others = [s for s in sources if s != vote.source]
            text = f"agrees with {', '.join(others)}" if others else (alone if len(asked) == 1 or not measuring else "")
            verdicts.append(Verdict(used=True, why=text or f"more trusted than {_outside(votes, asked, winners)}"))
            continue
        if l <= x + up and h >= x - down:
            verdicts.append(Verdict(used=False, why="agrees, but only guesses" if vote.guess else "agrees only in part"))
            if vote.guess:
                continue
        else:
            verdicts.append(Verdict(used=False, why=f"outvoted by {', '.join(sources)}"))
        flagged.append(f"the {vote.source} says {ratio:.3g} times the {lead.source}'s scale")
    return ScaleDecision(scale=scale, sources=sources, verdicts=tuple(verdicts), flagged=tuple(flagged))


def _outside(votes: Sequence[ScaleVote], asked: list[int], winners: list[int]) -> str:
    return ", ".join(dict.fromkeys(votes[i].source for i in asked if i not in winners))


def _believed(votes: Sequence[ScaleVote], asked: list[int], guesses: list[int]) -> list[int]:
    """The largest set of `asked` whose intervals share a value; intervals on a line do when every two of them do, so
    it is enough to look at every lower end."""
    best: tuple[tuple, list[int]] | None = None
    for k in asked:
        at = votes[k].log[0]
        inside = [i for i in asked if votes[i].log[0] <= at + 1e-12 and votes[i].log[2] >= at - 1e-12]
        low, high = max(votes[i].log[0] for i in inside), min(votes[i].log[2] for i in inside)
        agree = sum(votes[g].log[0] <= high and votes[g].log[2] >= low for g in guesses)
        width = min(votes[i].log[2] - votes[i].log[0] for i in inside)
        rank = (-len(inside), -agree, sorted(trust(votes[i].source) for i in inside), round(width, 9), [asked.index(i) for i in inside])
        if best is None or rank < best[0]:
            best = rank, inside
    assert best is not None
    return best[1]


def _together(winners: list[ScaleVote], low: float, high: float) -> tuple[float, float, float]:
    """Value and half widths below and above it, in the logarithm."""
    logs = np.array([v.log for v in winners])
    x = logs[:, 1]
    half = np.maximum((logs[:, 2] - logs[:, 0]) / 2, 1e-9)
    w = 1 / half**2
    mean = float(np.clip((w * x).sum() / w.sum(), low, high))
    if len(winners) == 1:
        return mean, mean - float(logs[0, 0]), float(logs[0, 2]) - mean
    sigma = half / 2  # an interval is about two standard deviations
    scatter = math.sqrt(((x - mean) ** 2 / sigma**2).sum() / (len(x) - 1))
    narrowest = float(half.min())
    floor = min(math.log1p(v.floor) for v in winners)
    both = min(narrowest, max(floor, max(1.0, scatter) / math.sqrt(w.sum())))
    return mean, both, both


@dataclass(frozen=True, kw_only=True)
class UpVote:
    """What one source says about up."""

    source: str
    up: np.ndarray
    """(3,) unit, in the world of the model."""
    within_deg: float
    """Half angle of the cone that up is believed to lie in."""
    level_deg: float = 0.0
    """How far from level the thing itself may stand (a table, a sheet on it): added to the cone when votes are compared,
    not when the plane is what things stand on."""
    guess: bool = False

    @property
    def cone_deg(self) -> float:
        return self.within_deg + self.level_deg


@dataclass(frozen=True, kw_only=True)
class UpDecision:
    up: np.ndarray
    within_deg: float
    sources: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    flagged: tuple[str, ...]


def combine_up(votes: Sequence[UpVote]) -> UpDecision:
    """Decide among at least one vote by the same rule: cones instead of intervals, every two of the winners meeting.

    Where the support plane is among the winners it alone gives the direction: things stand on it, and a table is more
    level than gravity is known.
    """
    order = sorted(range(len(votes)), key=lambda i: (trust(votes[i].source), votes[i].source, votes[i].within_deg, tuple(votes[i].up)))
    measuring = [i for i in order if not votes[i].guess]
    asked, guesses = (measuring, [i for i in order if votes[i].guess]) if measuring else (order, [])

    def meet(i: int, j: int) -> bool:
        return angle_deg(votes[i].up, votes[j].up) <= votes[i].cone_deg + votes[j].cone_deg

    best: tuple[tuple, tuple[int, ...]] | None = None
    for size in range(len(asked), 0, -1):
        for group in combinations(asked, size):
            if all(meet(i, j) for i, j in combinations(group, 2)):
                agree = sum(all(meet(g, i) for i in group) for g in guesses)
                rank = (-agree, sorted(trust(votes[i].source) for i in group), [asked.index(i) for i in group])
                if best is None or rank < best[0]:
                    best = rank, group
        if best is not None:
            break
    assert best is not None
    winners = best[1]
    plane = next((votes[i] for i in winners if votes[i].source == "support plane"), None)
    heaviest = sorted(winners, key=lambda i: (votes[i].source != "support plane", votes[i].cone_deg, order.index(i)))
    sources = tuple(dict.fromkeys(votes[i].source for i in heaviest))
    if plane is not None:
        up, within = plane.up, plane.within_deg
    else:
        w = np.array([1 / max(votes[i].cone_deg, 0.1) ** 2 for i in winners])
        up = (w[:, None] * np.array([votes[i].up for i in winners])).sum(axis=0)
        within = max(0.3, float(1 / np.sqrt(w.sum()))) if len(winners) > 1 else votes[winners[0]].cone_deg
    up = up / np.linalg.norm(up)
    verdicts, flagged = [], []
    for i, vote in enumerate(votes):
        off = angle_deg(vote.up, up)
        if i in winners:
            verdicts.append(Verdict(used=True, why="things stand on it" if vote is plane else "agrees"))
        elif off <= vote.cone_deg + within:
            verdicts.append(Verdict(used=False, why="agrees, but only guesses" if vote.guess else "agrees only in part"))
        else:
            verdicts.append(Verdict(used=False, why=f"outvoted by {', '.join(sources)}"))
            flagged.append(f"the {vote.source} is tilted by {off:.1f}° against up as the {sources[0]} has it")
    return UpDecision(
        up=up, within_deg=within, sources=sources, verdicts=tuple(verdicts), flagged=tuple(flagged)
    )  # fmt: skip


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two directions."""
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))
