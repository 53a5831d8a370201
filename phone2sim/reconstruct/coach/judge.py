"""From measurements to findings. Each rule is one function; docs/capture-coach.md says where its numbers come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.reconstruct.capture.blur import local_part
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.coach.coverage import Coverage
from phone2sim.reconstruct.coach.finding import Finding, Severity, listed
from phone2sim.reconstruct.coach.graph import Graph
from phone2sim.reconstruct.coach.matches import Features, Pair
from phone2sim.reconstruct.coach.movers import Movers, whereabouts
from phone2sim.reconstruct.coach.pictures import Picture
from phone2sim.reconstruct.coach.rotation import HARDLY, STILL

BLURRED, BLURRED_PART = 0.65, 0.55
"""A frame is blurred below this detail, or below this part of its neighbours' when that is under 1 too."""
FEW_FEATURES, FEW_CELLS = 120, 0.2
"""A frame shows too little texture with fewer features, or features in a smaller part of it."""
WEAK = 40
"""A frame that shares fewer matches with every other one hangs by a thread."""
JUMP_EV = 0.8
"""Exposure steps between neighbours beyond this are called jumps."""
TURNED, MOSTLY_TURNED = 0.92, 0.75
"""Part of the matches of the widest pairs that one rotation explains."""
GAP_DEG, LEVEL_DEG = 100.0, 12.0
"""Wider parts of the circle without a camera, and smaller ranges of height, are worth a word."""
ZOOM = 0.08
"""Change of size between neighbours (natural logarithm) that no parallax goes with."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything measured on a capture."""

    capture: Capture
    names: list[str]
    pictures: list[Picture]
    features: list[Features]
    graph: Graph
    reach: float
    turned: tuple[float, int]
    movers: Movers
    still: Movers | None
    """What changes before a camera that stands still."""
    coverage: Coverage | None

    def named(self, frames: list[int] | tuple[int, ...]) -> str:
        """Names of frames in order, runs of three and more of a clip as `a to b`."""
        runs: list[list[int]] = []
        for i in frames:
            if runs and i == runs[-1][-1] + 1 and self.capture.kind == "clip":
                runs[-1].append(i)
            else:
                runs.append([i])
        said: list[str] = []
        for r in runs:
            said += [f"{self.names[r[0]]} to {self.names[r[-1]]}"] if len(r) > 2 else [self.names[i] for i in r]
        return listed(said)


def judge(m: Measured) -> list[Finding]:
    """All findings, worst first."""
    rules = (single, overlap, motion, texture, few, blur, exposure, jumps, moving, sides, zoom, lenses, reading)
    found = [f for rule in rules for f in rule(m)]
    order = {"cannot work": 0, "bad": 1, "advice": 2}
    return sorted(found, key=lambda f: order[f.severity])


def single(m: Measured) -> list[Finding]:
    if len(m.pictures) != 1:
        return []
    return [Finding(
        id="single", severity="advice", label="single photo",
        seen="This is one photo: it gives a scene with depth, but nothing behind what it shows.",
        do="For whole objects walk round them and take 20 to 60 photos, or film them.",
    )]  # fmt: skip


def few(m: Measured) -> list[Finding]:
    n = len(m.pictures)
    if n == 1 or n >= 20:
        return []
    severity: Severity = "cannot work" if n < 3 else "bad" if n < 6 else "advice"
    return [Finding(
        id="few", severity=severity, label="few frames", seen=f"There are only {n} frames.",
        do="Take 20 to 60 overlapping photos all round, or a slow clip of 20 to 40 seconds.",
    )]  # fmt: skip


def blur(m: Measured) -> list[Finding]:
    detail = np.array([p.detail for p in m.pictures])
    known = ~np.isnan(detail)
    relative = np.ones(len(detail))
    if known.sum() >= 5:
        relative[known] = local_part(detail[known], half=15)
    with np.errstate(invalid="ignore"):
        soft = known & ((detail < BLURRED) | ((relative < BLURRED_PART) & (detail < 1.0)))
    frames = [int(i) for i in np.flatnonzero(soft)]
    if not frames:
        return []
    n = len(detail)
    bad = len(frames) > 0.5 * n
    return [Finding(
        id="blur", severity="bad" if bad else "advice", label="blurred", frames=tuple(frames),
        seen=f"{len(frames)} of {n} frames are blurred" + (f": {m.named(frames)}." if len(frames) < n else "."),
        do="Move more slowly, add light, and touch the screen to focus on the objects."
        if m.capture.kind == "clip" else "Hold still while the shutter opens, add light, and focus on the objects.",
    )]  # fmt: skip


def exposure(m: Measured) -> list[Finding]:
    out = []
    for key, limit, much, label, do in (
        (
            "burnt",
            0.10,
            0.30,
            "overexposed",
            "Lower the exposure (touch the screen on the brightest part), or dim the light.",
        ),
        ("black", 0.25, 0.50, "too dark", "Add light, or raise the exposure."),
    ):
        part = np.array([getattr(p, key) for p in m.pictures])
        frames = np.flatnonzero(part > limit)
        if len(frames) == 0:
            continue
        bad = np.median(part) > much
        white = "burnt out to white" if key == "burnt" else "all black"
        out.append(Finding(
            id=key, severity="bad" if bad else "advice", label=label, frames=tuple(int(i) for i in frames),
            seen=f"{len(frames)} of {len(part)} frames have more than {limit:.0%} of the picture {white}, at most {part.max():.0%}.",
            do=do,
        ))  # fmt: skip
    return out


def jumps(m: Measured) -> list[Finding]:
    frames, largest = [], 0.0
    for p in m.graph.holding:
        if p.j == p.i + 1:
            ev = abs(_brighter(p, m.pictures[p.i].grey, m.pictures[p.j].grey))
            if ev > JUMP_EV:
                frames.append(p.j)
                largest = max(largest, ev)
    if not frames:
        return []
    return [Finding(
        id="exposure-jump", severity="advice", label="exposure jump", frames=tuple(frames),
        seen=f"The exposure jumps by up to {largest:.1f} stops between neighbouring frames: at {m.named(frames)}.",
        do="Lock the exposure (hold a finger on the screen until it says so) and keep lamps and the sun out of view.",
    )]  # fmt: skip


def _brighter(p: Pair, left: np.ndarray, right: np.ndarray) -> float:
    """Median change of the light of the same places, in stops; places too bright or too dark to tell are left out."""
    import cv2

    good = p.epipolar
    values = []
    for grey, xy in ((left, p.left[good]), (right, p.right[good])):
        soft = cv2.blur(grey, (5, 5))
        x, y = (xy - 0.5).round().astype(int).T
        values.append(soft[y.clip(0, grey.shape[0] - 1), x.clip(0, grey.shape[1] - 1)].astype(float))
    a, b = values
    told = (a > 15) & (a < 240) & (b > 15) & (b < 240)
    if told.sum() < 12:
        return 0.0
    return float(np.median(2.2 * np.log2(b[told] / a[told])))


def texture(m: Measured) -> list[Finding]:
    n = len(m.features)
    poor = [i for i, f in enumerate(m.features) if len(f.xy) < FEW_FEATURES or f.spread < FEW_CELLS]
    if len(poor) < max(1, 0.1 * n):
        return []
    median = int(np.median([len(f.xy) for f in m.features]))
    return [Finding(
        id="texture", severity="bad" if len(poor) > 0.5 * n else "advice", label="little texture", frames=tuple(poor),
        seen=f"{len(poor)} of {n} frames show too little texture to be placed ({median} features in the median frame).",
        do="Lay a printed page, a cloth with a pattern or newspaper under and around the objects, and add light.",
    )]  # fmt: skip


def overlap(m: Measured) -> list[Finding]:
    n = len(m.pictures)
    if n < 2:
        return []
    closer = "Take neighbouring pictures closer together (a hand's width), so that most of each is in the next one too."
    groups = m.graph.groups()
    if len(groups[0]) < min(3, n):
        bare = np.median([len(f.xy) for f in m.features]) < FEW_FEATURES
        return [Finding(
            id="overlap", severity="cannot work", label="no overlap",
            seen=f"No three of the {n} frames can be matched with each other"
            + (": there is next to nothing on them to match." if bare else "."),
            do="Add texture: newspaper or a printed page under the objects, and light." if bare else closer,
        )]  # fmt: skip
    lost = [i for g in groups[1:] for i in g]
    large = [g for g in groups if len(g) >= 3]
    out = []
    if len(large) > 1 or len(lost) > 0.2 * n:
        spans = "; ".join(_span(m, g) for g in large)
        alone = [i for g in groups for i in g if len(g) < 3]
        rest = f"; on their own: {m.named(alone)}" if alone else ""
        out.append(Finding(
            id="split", severity="bad", label="cut off", frames=tuple(sorted(lost)),
            seen=f"The frames fall apart into {len(large)} group{'s' if len(large) > 1 else ''} that share nothing: {spans}{rest}.",
            do="Film the stretch between them again, slowly, or walk back along the way you came.",
        ))  # fmt: skip
    elif lost:
        out.append(Finding(
            id="lone", severity="advice", label="stands alone", frames=tuple(sorted(lost)),
            seen=f"{m.named(sorted(lost))} could not be matched with any other frame.",
            do="Nothing need be done: it may be left out of the reconstruction.",
        ))  # fmt: skip
    weak = [i for i in groups[0] if m.graph.best(i) < WEAK]
    if weak:
        bad = len(weak) > 0.4 * n
        out.append(Finding(
            id="overlap", severity="bad" if bad else "advice", label="weak overlap", frames=tuple(weak),
            seen=f"{_share(len(weak), n)} fewer than {WEAK} points with any other: {m.named(weak)}.", do=closer,
        ))  # fmt: skip
    return out


def _share(few: int, n: int) -> str:
    return f"{few} of {n} frames share{'s' if few == 1 else ''}"


def _span(m: Measured, group: list[int]) -> str:
    whole = group == list(range(group[0], group[-1] + 1))
    return f"{m.names[group[0]]} to {m.names[group[-1]]}" if whole else m.named(group)


def motion(m: Measured) -> list[Finding]:
    n = len(m.pictures)
    if n < 3 or len(m.graph.holding) < 3:
        return []
    if m.reach < STILL:
        moves = m.still is not None and float(np.median(m.still.part)) > 0.01
        also = f", while things move in {whereabouts(m.still.places)}" if moves and m.still is not None else ""
        return [Finding(
            id="fixed", severity="cannot work", label="fixed camera",
            seen=f"The camera stands still: the picture shifts by {m.reach:.1%} at most{also}.",
            do="Walk round the scene while filming, and leave the scene as it is.",
        )]  # fmt: skip
    if m.reach < HARDLY:
        return [Finding(
            id="hardly-moved", severity="bad", label="hardly moved",
            seen=f"The camera hardly moves: the picture shifts by {m.reach:.1%} at most.",
            do="Walk round the scene, half a circle or more.",
        )]  # fmt: skip
    part, pairs = m.turned
    if pairs < 3 or part < MOSTLY_TURNED:
        return []
    return [Finding(
        id="rotation-only", severity="cannot work" if part >= TURNED else "bad", label="turned on the spot",
        seen=f"The camera turned without moving: a turn alone explains {part:.0%} of what the {pairs} widest pairs share.",
        do="Walk sideways round the scene; turning on the spot gives no depth.",
    )]  # fmt: skip


def moving(m: Measured) -> list[Finding]:
    movers = m.movers if m.still is None else m.still
    frames = np.flatnonzero(movers.part > (0.02 if m.still is None else 0.01))
    n = len(m.pictures)
    if len(frames) < max(3, 0.1 * n):
        return []
    bad = float(np.median(movers.part)) > 0.08
    what = "of the picture changes" if m.still is not None else "of what is matched moves by itself"
    return [Finding(
        id="moving", severity="bad" if bad else "advice", label="moves", frames=tuple(int(i) for i in frames),
        seen=f"Something moves in {whereabouts(movers.places)}, in {len(frames)} of {n} frames "
        f"(up to {movers.part.max():.0%} {what}).",
        do="Leave the scene as it is while filming; keep people, pets, hands and screens out of view.",
    )]  # fmt: skip


def sides(m: Measured) -> list[Finding]:
    c = m.coverage
    if c is None or len(m.pictures) < 6 or m.reach < HARDLY:
        return []
    about = "about " if c.guess else ""
    maybe = " (guessed before the cameras are known)" if c.guess else ""
    out = []
    if c.gap_deg > GAP_DEG:
        a, b = c.gap_frames
        out.append(Finding(
            id="one-side", severity="advice", label="edge of gap", frames=tuple(sorted((a, b))),
            seen=f"The scene is seen over {about}{360 - c.gap_deg:.0f}° of the circle round it{maybe}; no picture "
            f"fills the side between {m.names[a]} and {m.names[b]}.",
            do="Walk all the way round if you can; what no picture shows stays a guess.",
        ))  # fmt: skip
    low, high = c.heights_deg
    if high - low < LEVEL_DEG:
        out.append(Finding(
            id="one-height", severity="advice", label="one height",
            seen=f"All pictures are taken from one height, {about}{(low + high) / 2:.0f}° above the scene{maybe}.",
            do="Walk a second round from higher up.",
        ))  # fmt: skip
    return out


def zoom(m: Measured) -> list[Finding]:
    frames, largest = [], 0.0
    for p in m.graph.holding:
        if p.j == p.i + 1 and p.shared >= 40 and m.capture.frames[p.i].group == m.capture.frames[p.j].group:
            size = _zoomed(p)
            if abs(size) > ZOOM:
                frames.append(p.j)
                largest = max(largest, abs(size))
    if not frames:
        return []
    return [Finding(
        id="zoom", severity="advice", label="zoom", frames=tuple(frames),
        seen=f"The picture grows or shrinks by up to {np.expm1(largest):.0%} between neighbours without any parallax.",
        do="Don't zoom, and switch automatic lens changes off; step nearer instead.",
    )]  # fmt: skip


def _zoomed(p: Pair) -> float:
    """Logarithm of the change of size where a similarity explains nearly all matches, else 0."""
    good = p.flat
    if good.sum() < 0.85 * max(p.shared, 40):
        return 0.0
    a, b = p.left[good].astype(float), p.right[good].astype(float)
    ca, cb = np.median(a, axis=0), np.median(b, axis=0)
    za, zb = ((v - c) @ [1, 1j] for v, c in ((a, ca), (b, cb)))
    turn = np.vdot(za, zb) / max(float(np.vdot(za, za).real), 1e-9)
    error = np.abs(zb - turn * za)
    if (error < 2.0).mean() < 0.9 or np.linalg.norm(cb - ca) > 0.1 * np.ptp(a, axis=0).max():
        return 0.0
    return float(np.log(max(abs(turn), 1e-6)))


def lenses(m: Measured) -> list[Finding]:
    out = []
    frames = m.capture.frames
    upright = [f.height > f.width for f in frames]
    if len(frames) > 1 and 0 < sum(upright) < len(frames):
        rarer = sum(upright) <= len(frames) / 2
        which = tuple(i for i, u in enumerate(upright) if u == rarer)
        out.append(Finding(
            id="orientation", severity="advice", label="turned phone", frames=which,
            seen=f"{sum(upright)} frames are upright and {len(frames) - sum(upright)} lie across.",
            do="Hold the phone the same way for the whole capture.",
        ))  # fmt: skip
    groups = [f.group for f in frames]
    if len(set(groups)) > 1:
        most = max(sorted(set(groups)), key=groups.count)
        which = tuple(i for i, g in enumerate(groups) if g != most)
        out.append(Finding(
            id="lenses", severity="advice", label="other lens", frames=which,
            seen=f"{len(set(groups))} different cameras, lenses or zoom settings were used.",
            do="Use one lens, without zoom; every further one has to be calibrated by itself.",
        ))  # fmt: skip
    return out


def reading(m: Measured) -> list[Finding]:
    out = []
    if m.capture.refused:
        files = listed([r["file"] for r in m.capture.refused])
        out.append(Finding(
            id="unreadable", severity="advice", label="unreadable",
            seen=f"{len(m.capture.refused)} files could not be read and are left out: {files}.",
            do="Copy them again from the phone.",
        ))  # fmt: skip
    out += [
        Finding(id="reading", severity="advice", label="reading", seen=_head(t), do=_tail(t)) for t in m.capture.advice
    ]
    return out


def _head(advice: str) -> str:
    return advice.split(": ", 1)[0].rstrip(".") + "."


def _tail(advice: str) -> str:
    said = advice.split(": ", 1)
    return said[1][0].upper() + said[1][1:] if len(said) == 2 and said[1] else ""
