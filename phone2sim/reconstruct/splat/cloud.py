"""`SplatCloud`: anisotropic 3D Gaussians with spherical-harmonic colour, and the 3DGS `.ply` they are stored in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim.errors import InputError, ShapeError
from phone2sim.poses import Pose, quat_multiply

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
        """The cloud moved rigidly: means and orientations by `pose`; SH of degree 1 turned with it, higher ones dropped."""
        R = pose.rotation
        sh = self.sh[:, :4].copy() if self.sh.shape[1] >= 4 else self.sh.copy()
        if sh.shape[1] == 4:
            d = np.stack([-sh[:, 3], -sh[:, 1], sh[:, 2]], axis=1)  # colour gradient along x, y, z
            d = np.einsum("ij,njc->nic", R, d)
            sh[:, 1], sh[:, 2], sh[:, 3] = -d[:, 1], d[:, 2], -d[:, 0]
        return SplatCloud(
            means=pose.apply(self.means), quats_wxyz=quat_multiply(pose.quat_wxyz, self.quats_wxyz),
            scales=self.scales, opacities=self.opacities, sh=sh,
        )  # fmt: skip

    @classmethod
    def concatenate(cls, clouds: list[SplatCloud]) -> SplatCloud:
        k = max(c.sh.shape[1] for c in clouds)
        pad = [np.pad(c.sh, ((0, 0), (0, k - c.sh.shape[1]), (0, 0))) for c in clouds]
        return cls(
            means=np.concatenate([c.means for c in clouds]), quats_wxyz=np.concatenate([c.quats_wxyz for c in clouds]),
            scales=np.concatenate([c.scales for c in clouds]), opacities=np.concatenate([c.opacities for c in clouds]),
            sh=np.concatenate(pad),
        )  # fmt: skip

    def save_ply(self, path: Path) -> None:
        """Write the 3DGS layout: log scales, logit opacity, channel-major `f_rest`."""
        n, k = self.sh.shape[:2]
        rest = [f"f_rest_{i}" for i in range(3 * (k - 1))]
        names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, "opacity",
                 "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]  # fmt: skip
        o = np.clip(self.opacities.astype(np.float64), 1e-6, 1 - 1e-6)
        table = np.concatenate(
            [
                self.means, np.zeros((n, 3)), self.sh[:, 0], self.sh[:, 1:].transpose(0, 2, 1).reshape(n, -1),
                np.log(o / (1 - o))[:, None], np.log(np.maximum(self.scales, 1e-12)), self.quats_wxyz,
            ],
            axis=1,
        ).astype("<f4")  # fmt: skip
        header = "ply\nformat binary_little_endian 1.0\n" + f"element vertex {n}\n"
        header += "".join(f"property float {p}\n" for p in names) + "end_header\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header.encode() + table.tobytes())

    @classmethod
    def load_ply(cls, path: Path) -> SplatCloud:
        """Read a 3DGS `.ply` (binary little endian, float properties in any order)."""
        try:
            data = path.read_bytes()
        except OSError:
            raise InputError(f"{path} does not exist.") from None
        end = data.find(b"end_header\n")
        if not data.startswith(b"ply") or end < 0 or b"binary_little_endian" not in data[:end]:
            raise InputError(f"{path} is not a binary little-endian PLY file.")
        lines = data[:end].decode("ascii", "replace").splitlines()
        names = [line.split()[2] for line in lines if line.startswith("property float")]
        counts = [int(line.split()[2]) for line in lines if line.startswith("element vertex")]
        if not counts or "f_dc_0" not in names:
            raise InputError(f"{path} has no Gaussians (no f_dc_0 property).")
        n = counts[0]
        body = np.frombuffer(data, dtype="<f4", offset=end + 11, count=n * len(names)).reshape(n, len(names))
        col = {name: body[:, i] for i, name in enumerate(names)}
        rest = sorted((p for p in names if p.startswith("f_rest_")), key=lambda p: int(p[7:]))
        dc = np.stack([col[f"f_dc_{i}"] for i in range(3)], axis=1)[:, None]
        higher = np.stack([col[p] for p in rest], axis=1).reshape(n, 3, -1).transpose(0, 2, 1) if rest else dc[:, :0]
        q = np.stack([col[f"rot_{i}"] for i in range(4)], axis=1)
        return cls(
            means=np.stack([col[a] for a in "xyz"], axis=1),
            quats_wxyz=q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12),
            scales=np.exp(np.stack([col[f"scale_{i}"] for i in range(3)], axis=1)),
            opacities=1 / (1 + np.exp(-col["opacity"])),
            sh=np.concatenate([dc, higher], axis=1),
        )
