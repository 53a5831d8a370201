"""`SplatCloud`: anisotropic 3D Gaussians with spherical-harmonic colour, and the 3DGS `.ply` they are stored in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phone2sim.errors import InputError, ShapeError
from phone2sim.poses import Pose, quat_multiply
from phone2sim.reconstruct.ply import read_ply, write_ply
from phone2sim.reconstruct.splat.harmonics import rotate_sh

SH_C0 = 0.28209479177387814


@dataclass(frozen=True, kw_only=True)
class SplatCloud:
    """n Gaussians in the world frame. Linear scales and opacities; colour = 0.5 + SH (Kerbl et al. 2023)."""

    means: np.ndarray
    """(n, 3) float32 centres [m]."""
    quats_wxyz: np.ndarray
    """(n, 4) float32 unit quaternions: world from the Gaussian's axes."""
    scales: np.ndarray
    """(n, 3) float32 standard deviations [m], positive."""
    opacities: np.ndarray
    """(n,) float32 in 0–1."""
    sh: np.ndarray
    """(n, (degree+1)², 3) float32 coefficients, RGB; degree 0–3."""

    def __post_init__(self) -> None:
        n = np.asarray(self.means).shape[0]
        k = np.asarray(self.sh).shape[1] if np.asarray(self.sh).ndim == 3 else -1
        for field, shape in (
            ("means", (n, 3)), ("quats_wxyz", (n, 4)), ("scales", (n, 3)), ("opacities", (n,)), ("sh", (n, k, 3)),
        ):  # fmt: skip
            a = np.ascontiguousarray(getattr(self, field), dtype=np.float32)
            if a.shape != shape:
                raise ShapeError(f"SplatCloud.{field}: expected {shape}, got {a.shape}.")
            object.__setattr__(self, field, a)
        if k not in (1, 4, 9, 16):
            raise ShapeError(f"SplatCloud.sh: expected 1, 4, 9 or 16 coefficients, got {k}.")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def sh_degree(self) -> int:
        return int(np.sqrt(self.sh.shape[1])) - 1

    @property
    def colors(self) -> np.ndarray:
        """(n, 3) view-independent colour, 0–1."""
        return np.clip(0.5 + SH_C0 * self.sh[:, 0], 0, 1)

    def take(self, index: np.ndarray) -> SplatCloud:
        """A subset by mask or indices."""
        return SplatCloud(
            means=self.means[index], quats_wxyz=self.quats_wxyz[index], scales=self.scales[index],
            opacities=self.opacities[index], sh=self.sh[index],
        )  # fmt: skip

    def moved(self, pose: Pose) -> SplatCloud:
        """The cloud moved rigidly by `pose`: means, orientations, and the colours that depend on the direction."""
        return SplatCloud(
            means=pose.apply(self.means), quats_wxyz=quat_multiply(pose.quat_wxyz, self.quats_wxyz),
            scales=self.scales, opacities=self.opacities, sh=rotate_sh(self.sh, pose.rotation),
        )  # fmt: skip

    def transformed(self, scale: float, pose: Pose) -> SplatCloud:
        """The cloud in a world mapped by p_new = pose · (scale · p_old); `scale` is positive."""
        return replace(self, means=scale * self.means, scales=scale * self.scales).moved(pose)

    @classmethod
    def concatenate(cls, clouds: list[SplatCloud]) -> SplatCloud:
        k = max(c.sh.shape[1] for c in clouds)
        pad = [np.pad(c.sh, ((0, 0), (0, k - c.sh.shape[1]), (0, 0))) for c in clouds]
        return cls(
            means=np.concatenate([c.means for c in clouds]), quats_wxyz=np.concatenate([c.quats_wxyz for c in clouds]),
            scales=np.concatenate([c.scales for c in clouds]), opacities=np.concatenate([c.opacities for c in clouds]),
            sh=np.concatenate(pad),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write `.ply` or the compressed `.spz`, by the suffix. Raises InputError for another suffix."""
        from phone2sim.reconstruct.splat.spz import write_spz

        writers = {".ply": self.save_ply, ".spz": lambda p: write_spz(p, self)}
        if path.suffix.lower() not in writers:
            raise InputError(f"{path}: a splat is written as .ply or .spz.")
        writers[path.suffix.lower()](path)

    @classmethod
    def load(cls, path: Path) -> SplatCloud:
        """Read a 3DGS `.ply` or a `.spz`, told apart by content. Raises InputError for anything else."""
        from phone2sim.reconstruct.splat.spz import read_spz

        try:
            with path.open("rb") as f:
                start = f.read(4)
        except OSError as e:
            raise InputError(f"{path} cannot be read: {e.strerror}.") from None
        if start[:3] == b"ply":
            return cls.load_ply(path)
        if start[:2] == b"\x1f\x8b" or start == b"NGSP":
            return read_spz(path)
        raise InputError(f"{path} is neither a 3DGS .ply nor a .spz.")

    def save_ply(self, path: Path) -> None:
        """Write the 3DGS layout: log scales, logit opacity, channel-major `f_rest`."""
        n, k = self.sh.shape[:2]
        o = np.clip(self.opacities.astype(np.float64), 1e-6, 1 - 1e-6)
        rest = self.sh[:, 1:].transpose(0, 2, 1).reshape(n, 3 * (k - 1))
        log_scales = np.log(np.maximum(self.scales, 1e-12))
        columns = (self.means, np.zeros((n, 3)), self.sh[:, 0], rest, np.log(o / (1 - o))[:, None], log_scales, self.quats_wxyz)
        table = np.concatenate(columns, axis=1).astype("<f4")
        write_ply(path, table.view([(name, "<f4") for name in _properties(k)])[:, 0])

    @classmethod
    def load_ply(cls, path: Path) -> SplatCloud:
        """Read a 3DGS `.ply` of anyone's: any encoding, columns in any order, normals and extra columns left out.

        Raises InputError for a file that is cut short or lacks a column, and for values that are not finite.
        """
        rows = read_ply(path, need=_NEEDED)
        names = rows.dtype.names or ()

        def stack(columns: list[str]) -> np.ndarray:
            return np.stack([rows[c].astype(np.float32) for c in columns], axis=1)

        rest = sum(name.startswith("f_rest_") for name in names)
        if rest not in (0, 9, 24, 45) or any(f"f_rest_{i}" not in names for i in range(rest)):
            raise InputError(f"{path} has {rest} f_rest columns; 3DGS has 0, 9, 24 or 45.")
        n, dc = len(rows), stack(["f_dc_0", "f_dc_1", "f_dc_2"])[:, None]
        higher = stack([f"f_rest_{i}" for i in range(rest)]).reshape(n, 3, rest // 3).transpose(0, 2, 1) if rest else dc[:, :0]
        q = stack([f"rot_{i}" for i in range(4)]).astype(np.float64)
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        arrays: dict[str, np.ndarray] = {
            "means": stack(list("xyz")),
            "quats_wxyz": np.where(norm > 1e-12, q, [1.0, 0, 0, 0]) / np.where(norm > 1e-12, norm, 1),
            "scales": np.exp(stack([f"scale_{i}" for i in range(3)]).astype(np.float64)),
            "opacities": 1 / (1 + np.exp(-rows["opacity"].astype(np.float64))),
            "sh": np.concatenate([dc, higher], axis=1),
        }  # fmt: skip
        for field, a in arrays.items():
            bad = sum(not np.isfinite(row).all() for row in a) if not np.isfinite(a).all() else 0
            if bad:
                raise InputError(f"{path}: the {field} of {bad} Gaussians are not finite.")
        return cls(**arrays)


def _properties(k: int) -> list[str]:
    rest = [f"f_rest_{i}" for i in range(3 * (k - 1))]
    return ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity",
            "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]  # fmt: skip


_NEEDED = tuple(name for name in _properties(1) if name not in ("nx", "ny", "nz"))
