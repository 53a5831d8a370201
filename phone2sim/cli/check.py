"""`phone2sim check`: the twin certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import Json, Quiet, SceneDir
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_scene, tell_edits


def check(
    scene: SceneDir,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be repaired safely, say what was done, and check again.")
    ] = False,
    engines: Annotated[
        str,
        typer.Option(
            "--engines", metavar="auto|mujoco,physx,newton,mujoco-usd",
            help="Engines that must agree on the exported USD; auto takes those that are installed, mujoco alone asks no other.",
        ),
    ] = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Certify that a scene behaves and looks as captured.

    Per object, in MuJoCo: overlap, rest, tipping, sliding, a drop, inertia; the same trials in every other engine from
    the USD; and the scene against its photos. Writes certificate/ into the scene. Exit code 1 when a gate fails.
    """
    check_scene(scene)
    with output(json=json, quiet=quiet) as o:
        tell_edits(scene)
        from phone2sim.sim_export.certificate import CertificateConfig, certify
        from phone2sim.sim_export.certificate.repair import repair

        config = CertificateConfig()
        asked = None if engines == "auto" else [e.strip() for e in engines.split(",") if e.strip()]
        certificate = certify(scene, config, engines=asked)
        repairs: list[str] = []
        if fix and not certificate.passed:
            repairs = repair(scene, certificate.failures, config)
            certificate = certify(scene, config, engines=asked) if repairs else certificate
        data: dict[str, Any] = {"scene": str(scene), **certificate.to_json(), "repairs": repairs}
        o.result(data)
        passed = sum(c.passed for c in certificate.checks)
        o.show(
            *[f"repaired  {text}" for text in repairs],
            *(["note      nothing that failed can be repaired safely"] if fix and not repairs and not certificate.passed else []),
            *[f"FAILED    {c.subject}: {c.name}: {_short(c.why)}" for c in certificate.failures],
            *[f"note      {text}" for text in certificate.notes],
            f"{passed} of {len(certificate.checks)} gates passed; {_path(scene)}",
        )
    if not certificate.passed:
        raise typer.Exit(1)


def _short(why: str) -> str:
    """The first of many like findings; the certificate has them all."""
    texts = why.split("; ")
    return why if len(texts) <= 3 else "; ".join([*texts[:2], f"and {len(texts) - 2} more"])


def _path(scene: Path) -> Path:
    return scene / "certificate" / "certificate.json"
