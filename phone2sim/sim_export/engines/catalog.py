"""Which engines there are, what each can do, and where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from phone2sim.errors import InputError, MissingDependencyError, did_you_mean

_PROBE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine beside MuJoCo. Its packages seldom stand beside this program's, so a child process runs its worker."""

    name: str
    title: str
    distribution: str
    """What its Python must have installed."""
    variable: str
    """Environment variable that names its Python."""
    worker: str
    """Module in `workers/`."""
    rate: int
    """Steps per second it is asked for; what the exported USD says for it."""
    requirements: str
    can: str
    cannot: str
    plane: bool = True
    """What carries a standing object better in it: MuJoCo gives several contacts on a plane and few on a box; PhysX keeps four
    on a plane, which is little for a round foot."""
    draws: bool = False
    """Whether pictures of an episode are its own."""
    homes: tuple[str, ...] = ()
    """Environment variables that name an installation folder with a `python.sh`."""

    @property
    def install(self) -> str:
        """How to get it, as one line."""
        return f"In an environment of its own: pip install {self.requirements}; then set {self.variable} to that environment's python."


ENGINES = {
    e.name: e
    for e in (
        Engine(
            name="physx", title="PhysX", distribution="ovphysx", variable="PHONE2SIM_PHYSX_PYTHON",
            worker="physx_worker", rate=240, plane=False, requirements="'ovphysx==0.7.*' 'physx-usd-schemas==25.11.*' newton-usd-schemas==0.6.0 numpy",
            can="check --engines physx; generate --sim physx with the built-in arm, on the CPU",
            cannot="draw pictures (ours are drawn); run on the GPU from here; continue from a saved state to the last bit",
        ),
        Engine(
            name="newton", title="Newton", distribution="newton", variable="PHONE2SIM_NEWTON_PYTHON",
            worker="newton_worker", rate=480,
            requirements="'newton[sim]==1.8.0' usd-core==26.8 newton-usd-schemas==0.6.0 scipy trimesh requests",
            can="check --engines newton, on the CPU", cannot="generate episodes from here",
        ),
        Engine(
            name="mujoco-usd", title="MuJoCo's USD reader", distribution="mujoco-usd",
            variable="PHONE2SIM_MUJOCO_USD_PYTHON", worker="mujoco_usd_worker", rate=500, requirements="mujoco-usd==4.0.0 numpy",
            can="check --engines mujoco-usd: the exported USD read by MuJoCo itself", cannot="generate episodes from here",
        ),
        Engine(
            name="isaac", title="Isaac Sim", distribution="isaacsim", variable="PHONE2SIM_ISAAC_PYTHON",
            worker="isaac_worker", rate=240, plane=False, requirements="'isaacsim[all,extscache]>=6'", homes=("ISAACSIM_PATH", "ISAAC_PATH"), draws=True,
            can="generate --sim isaac: PhysX, and pictures, depth and instance ids by Replicator",
            cannot="run without an NVIDIA RTX GPU",
        ),
    )
}  # fmt: skip


def find_engine(name: str) -> Engine:
    """The engine of that name; `InputError` lists the known ones."""
    if name not in ENGINES:
        raise InputError(f"No engine {name!r};", hint=did_you_mean(name, ENGINES))
    return ENGINES[name]


def find_python(engine: Engine) -> str:
    """The interpreter that has the engine: the one its variable names, else an installation's own, else this one.

    Raises `MissingDependencyError` when there is none.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    named = os.environ.get(engine.variable)
    if named:
        if not Path(named).is_file():
            raise MissingDependencyError(f"{engine.variable} names {named}, which is not there.", hint=engine.install)
        return named
    for home in engine.homes:
        program = Path(os.environ.get(home) or "/nowhere") / "python.sh"
        if program.is_file():
            return str(program)
    try:
        distribution(engine.distribution)
    except PackageNotFoundError as e:
        raise MissingDependencyError(f"{engine.title} is not installed.", hint=engine.install) from e
    return sys.executable


def installed_version(engine: Engine) -> str:
    """Version of the engine that `find_python` finds, by asking that interpreter; nothing of the engine is imported.

    Raises `MissingDependencyError` when there is none.
    """
    python = find_python(engine)
    ask = f"import importlib.metadata as m; print(m.version({engine.distribution!r}))"
    try:
        done = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, timeout=_PROBE_S)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise MissingDependencyError(f"{python} cannot be started: {e}.", hint=engine.install) from e
    if done.returncode != 0:
        raise MissingDependencyError(f"{python} has no {engine.title}.", hint=engine.install)
    return done.stdout.strip().splitlines()[-1]
