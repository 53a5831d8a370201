"""The C++ kernels against gsplat's own code, on the processor.

gsplat's CUDA kernels need a GPU, but it ships references of them in plain torch. Here `gsplat.rasterization` itself runs, as
the `gsplat` backend calls it, on those references (projection, spherical harmonics), with a plain sum over depth-sorted
Gaussians in place of the tile kernel. Run by `gsplat_check.sh` in its own environment. Exit 1 when anything differs.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import gsplat
import gsplat.rendering
from gsplat.cuda import _torch_impl as reference

from phone2sim.reconstruct.backends.gsplat_cuda import GsplatDrawing
from phone2sim.reconstruct.backends.torch_engine import TorchEngine
from phone2sim.reconstruct.splat.backend import GROUPS
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.cpu import CpuEngine
from phone2sim.reconstruct.splat.gaussians import to_cloud
from tests.reconstruct.backends.test_engines import SHOTS, gaussians, gradients, relative

PICTURE, GRADIENT = 2e-5, 2e-3


def projection(means, covars, quats, scales, viewmats, Ks, width, height, **options):
    covars, _ = reference._quat_scale_to_covar_preci(quats, scales, True, False, triu=False)
    names = ("eps2d", "near_plane", "far_plane", "calc_compensations", "camera_model")
    return reference._fully_fused_projection(
        means, covars, viewmats, Ks, width, height, **{k: options[k] for k in names}
    )


def harmonics(degree, directions, coefficients, masks=None):
    directions = torch.nn.functional.normalize(directions, dim=-1)
    return reference._spherical_harmonics(degree, directions, coefficients)


def blend(means2d, conics, colors, opacities, width, height, tile_size, offsets, ids, **options):
    assert not options["packed"] and options["backgrounds"] is None and means2d.shape[0] == 1
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    d = torch.stack([u, v], dim=-1).reshape(-1, 1, 2) - means2d[0]
    c, radii = conics[0], blend.radii[0]
    sigma = 0.5 * (c[:, 0] * d[..., 0] ** 2 + c[:, 2] * d[..., 1] ** 2) + c[:, 1] * d[..., 0] * d[..., 1]
    alpha = (opacities[0] * torch.exp(-sigma)).clamp_max(0.999)
    alpha = torch.where((alpha >= 1 / 255) & (radii > 0).all(dim=-1), alpha, torch.zeros_like(alpha))
    order = torch.argsort(blend.depths[0])
    alpha = alpha[:, order]
    before = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :1]), 1 - alpha], dim=1), dim=1)
    weight = torch.where(before[:, 1:] > 1e-4, alpha * before[:, :-1], torch.zeros_like(alpha))
    out = (weight @ colors[0][order]).reshape(1, height, width, -1)
    return out, weight.sum(dim=1).reshape(1, height, width, 1)


def tiles(means2d, radii, depths, *args, **options):
    blend.radii, blend.depths = radii, depths
    return None, torch.zeros(0), torch.zeros(0)


def use_references() -> None:
    """Put gsplat's references where `gsplat.rasterization` calls CUDA."""
    gsplat.rendering.fully_fused_projection = projection
    gsplat.rendering.isect_tiles = tiles
    gsplat.rendering.isect_offset_encode = lambda ids, images, w, h: torch.zeros(images, h, w, dtype=torch.int32)
    gsplat.rendering.rasterize_to_pixels = blend
    gsplat.rendering.spherical_harmonics = gsplat.spherical_harmonics = harmonics


def gsplat_on_cpu(params, config):
    return TorchEngine(params, config, drawing=GsplatDrawing(), device="cpu")


def files() -> bool:
    """gsplat's own writer is read back, and plyfile opens ours."""
    import plyfile
    from gsplat.exporter import export_splats

    p = gaussians()
    cloud = to_cloud(p, scale=1.0, origin=np.zeros(3))
    t = {k: torch.from_numpy(v) for k, v in p.items()}
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder) / "gsplat.ply", Path(folder) / "ours.ply"
        arrays = t["means"], t["log_scales"], t["quats"], t["logits"], t["sh"][:, :1], t["sh"][:, 1:]
        export_splats(*arrays, format="ply", save_to=str(theirs))
        cloud.save_ply(ours)
        again, table = SplatCloud.load_ply(theirs), plyfile.PlyData.read(ours)["vertex"]
    fields = ("means", "quats_wxyz", "scales", "opacities", "sh")
    worst = max(float(np.abs(getattr(again, f) - getattr(cloud, f)).max()) for f in fields)
    print(f"file of gsplat's exporter read by us: largest difference {worst:.1e}")
    opened = all(np.array_equal(table[f"f_rest_{15 * c + k}"], cloud.sh[:, k + 1, c]) for c in range(3) for k in range(15))
    opened &= np.array_equal(np.stack([table[a] for a in "xyz"], 1), cloud.means)
    print(f"our file read by plyfile {version('plyfile')}: {'equal' if opened else 'DIFFERS'}")
    return worst < 1e-5 and opened


def main() -> int:
    use_references()
    print(f"gsplat {gsplat.__version__}, torch {torch.__version__}: its references against the C++ kernels")
    worst = True
    shot = SHOTS["photometric"]
    print(f"{'picture':24} {'mean |d|':>10} {'max |d|':>10} {'alpha':>10} {'depth':>10}")
    for antialiased in (False, True):
        for degree in range(4):
            config = SplatConfig(sh_degree=3, antialiased=antialiased)
            a, b = (
                make(gaussians(), config).render(shot.view, degree=degree, background=shot.background, geometry=True)
                for make in (CpuEngine, gsplat_on_cpu)
            )
            d, on = np.abs(a.rgb - b.rgb), a.transmittance < 0.5
            alpha = np.abs(a.transmittance - b.transmittance).mean()
            depth = np.abs(a.depth_expected - b.depth_expected)[on].mean()
            name = f"degree {degree}{', antialiased' if antialiased else ''}"
            print(f"{name:24} {d.mean():10.1e} {d.max():10.1e} {alpha:10.1e} {depth:10.1e}")
            worst &= d.mean() < PICTURE and alpha < 5 * PICTURE and depth < 5 * PICTURE
    print(f"{'gradients (relative)':24} " + " ".join(f"{k:>10}" for k in (*GROUPS, "screen")))
    for antialiased in (False, True):
        for name in SHOTS:
            config = SplatConfig(sh_degree=3, antialiased=antialiased)
            ours, theirs = (make(gaussians(), config) for make in (CpuEngine, gsplat_on_cpu))
            a, b = ours.backward(replace(SHOTS[name])), theirs.backward(SHOTS[name])
            mine, other = gradients(ours), gradients(theirs)
            error = [relative(other[k], mine[k]) for k in GROUPS] + [relative(theirs.pulls()[0], ours.pulls()[0])]
            print(f"{name + (', antialiased' if antialiased else ''):24} " + " ".join(f"{e:10.1e}" for e in error))
            worst &= max(error) < GRADIENT and abs(a.loss - b.loss) < 1e-4 * a.loss
    worst &= files()
    print("gsplat_check: agree" if worst else "gsplat_check: DIFFER")
    return 0 if worst else 1


if __name__ == "__main__":
    sys.exit(main())
