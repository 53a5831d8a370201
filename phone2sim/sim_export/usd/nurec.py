"""The background as a NuRec volume, for Isaac Sim 5.x, which does not know particle fields; half precision.

    scene_nurec.usda  nurec/{background.usda, background.nurec, background.usdz}

A `.nurec` is gzip over msgpack: a renderer's settings and named tensors as raw bytes, as NVIDIA's 3dgrut writes and
reads it. Nothing here was rendered by Isaac Sim; what is tested is that the payload says the same splats.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sim_export.usd.layer import extents_hint, label, new_stage, set_root, vec3f
from phone2sim.sim_export.usd.opinions import prim

PREFIX = ".gaussians_nodes.gaussians."
VERSION = "0.2.576"
MIN_RESPONSE = 0.0113


def write_nurec(cloud: SplatCloud, export: Path) -> Path:
    """Write the volume beside `export/scene.usda`, a package of it, and `scene_nurec.usda`, which shows it instead of the
    particle field; returns that. Raises `MissingDependencyError` without msgpack, `InputError` for an empty cloud."""
    if not len(cloud):
        raise InputError("The background has no Gaussians, so there is nothing for a NuRec volume.")
    folder = export / "nurec"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "background.nurec").write_bytes(nurec_bytes(cloud))
    _write_volume(cloud, folder / "background.usda")
    _package(folder)
    return _write_scene(export / "scene_nurec.usda")


def nurec_bytes(cloud: SplatCloud) -> bytes:
    """The payload: means [m], quaternions wxyz, log scales, logit opacities and spherical harmonics of degree 3 at most."""
    try:
        import msgpack
    except ImportError:
        raise MissingDependencyError("NuRec needs msgpack.", hint="pip install 'phone2sim[nurec]'") from None

    n = len(cloud)
    opacity = np.clip(cloud.opacities, 1e-4, 1 - 1e-4)
    sh = np.pad(cloud.sh, ((0, 0), (0, 16 - cloud.sh.shape[1]), (0, 0)))
    tensors = {
        "positions": cloud.means, "rotations": cloud.quats_wxyz, "scales": np.log(cloud.scales),
        "densities": np.log(opacity / (1 - opacity))[:, None], "features_albedo": sh[:, 0],
        "features_specular": sh[:, 1:].reshape(n, -1), "extra_signal": np.zeros((n, 0)),
    }  # fmt: skip
    state: dict[str, Any] = {"._extra_state": {"obj_track_ids": {"gaussians": []}}}
    for name, values in tensors.items():
        half = np.ascontiguousarray(values, dtype=np.float16)
        state[PREFIX + name], state[f"{PREFIX}{name}.shape"] = half.tobytes(), list(half.shape)
    state[f"{PREFIX}n_active_features"] = np.array([3], np.int64).tobytes()
    state[f"{PREFIX}n_active_features.shape"] = []
    data = {"version": VERSION, "model": "nre", "config": _settings(), "state_dict": state}
    return gzip.compress(msgpack.packb({"nre_data": data}), compresslevel=1, mtime=0)


def read_nurec(data: bytes) -> SplatCloud:
    """The splats of a payload."""
    import msgpack

    state = msgpack.unpackb(gzip.decompress(data))["nre_data"]["state_dict"]

    def tensor(name: str) -> np.ndarray:
        a = np.frombuffer(state[PREFIX + name], np.float16).reshape(state[f"{PREFIX}{name}.shape"])
        return a.astype(np.float32)

    n = len(tensor("positions"))
    sh = np.concatenate([tensor("features_albedo")[:, None], tensor("features_specular").reshape(n, -1, 3)], axis=1)
    return SplatCloud(
        means=tensor("positions"), quats_wxyz=tensor("rotations"), scales=np.exp(tensor("scales")),
        opacities=1 / (1 + np.exp(-tensor("densities")[:, 0])), sh=sh,
    )  # fmt: skip


def _settings() -> dict[str, Any]:
    """How the splats are drawn: what the renderer cannot do without."""
    particle = {
        "density_kernel_planar": False, "density_kernel_degree": 2, "density_kernel_density_clamping": False,
        "density_kernel_min_response": MIN_RESPONSE, "radiance_sph_degree": 3,
    }  # fmt: skip
    gaussians = {
        "name": "sh-gaussians", "device": "cuda", "density_activation": "sigmoid", "scale_activation": "exp",
        "rotation_activation": "normalize", "precision": 16, "particle": particle, "transmittance_threshold": 0.001,
    }  # fmt: skip
    projection = {
        "n_rolling_shutter_iterations": 5, "ut_dim": 3, "ut_alpha": 1.0, "ut_beta": 2.0, "ut_kappa": 0.0,
        "ut_require_all_sigma_points": False, "image_margin_factor": 0.1, "min_projected_ray_radius": 0.3**0.5,
    }  # fmt: skip
    culling = {
        "rect_bounding": True, "tight_opacity_bounding": True, "tile_based": True, "near_clip_distance": 1e-8,
        "far_clip_distance": float(np.finfo(np.float32).max),
    }  # fmt: skip
    renderer = {
        "name": "3dgut-nrend", "log_level": 3, "force_update": False, "update_step_train_batch_end": False,
        "per_ray_features": False, "global_z_order": False, "projection": projection, "culling": culling,
        "render": {"mode": "kbuffer", "k_buffer_size": 0},
    }  # fmt: skip
    return {
        "layers": {"gaussians": gaussians}, "renderer": renderer, "name": "gaussians_primitive",
        "appearance_embedding": {"name": "skip-appearance", "embedding_dim": 0, "device": "cuda"},
        "background": {"name": "skip-background", "device": "cuda", "composite_in_linear_space": False},
    }  # fmt: skip


def _write_volume(cloud: SplatCloud, path: Path) -> None:
    from pxr import Gf, Sdf, UsdGeom, UsdVol

    T = Sdf.ValueTypeNames
    low, high = vec3f(cloud.means.min(axis=0)), vec3f(cloud.means.max(axis=0))
    with new_stage(path) as stage:
        root = UsdGeom.Xform.Define(stage, "/BackgroundNuRec").GetPrim()
        set_root(stage, root, "component")
        volume = UsdVol.Volume.Define(stage, "/BackgroundNuRec/gauss")
        volume.CreateExtentAttr([low, high])
        at = volume.GetPrim()
        for name, kind, value in (
            ("isNuRecVolume", T.Bool, True), ("useProxyTransform", T.Bool, False), ("offset", T.Float3, Gf.Vec3f(0)),
            ("crop:minBounds", T.Float3, low), ("crop:maxBounds", T.Float3, high),
        ):  # fmt: skip
            at.CreateAttribute(f"omni:nurec:{name}", kind).Set(value)
        at.CreateRelationship("proxy")
        for role, kind_name, child in (("density", "float", "density_field"), ("emissiveColor", "float3", "emissive_color_field")):
            field = stage.DefinePrim(f"/BackgroundNuRec/gauss/{child}", "OmniNuRecFieldAsset")
            volume.CreateFieldRelationship(role, field.GetPath())
            field.CreateAttribute("filePath", T.Asset).Set("./background.nurec")
            for key, value in (("fieldName", role), ("fieldDataType", kind_name), ("fieldRole", role)):
                field.CreateAttribute(key, T.Token).Set(value)
            if role == "emissiveColor":
                for channel, row in zip("RGB", np.eye(3, 4)):
                    field.CreateAttribute(f"omni:nurec:ccm{channel}", T.Float4).Set(Gf.Vec4f(*(float(x) for x in row)))
        label(root, "background")
        extents_hint(root)


def _package(folder: Path) -> None:
    """A `usdz` by hand: USD's own packer leaves out what it has no file format for."""
    from pxr import Sdf

    with Sdf.ZipFileWriter.CreateNew(str(folder / "background.usdz")) as package:
        for name in ("background.usda", "background.nurec"):
            package.AddFile(str(folder / name), name)


def _write_scene(path: Path) -> Path:
    """The scene with a fourth appearance of its background, chosen."""
    from pxr import Sdf

    layer = Sdf.Layer.CreateAnonymous(path.name)
    layer.subLayerPaths.append("./scene.usda")
    layer.defaultPrim = "World"
    for key, value in (("upAxis", "Z"), ("metersPerUnit", 1.0), ("kilogramsPerUnit", 1.0)):
        layer.pseudoRoot.SetInfo(key, value)
    at = "/World/Background"
    prim(layer, at).variantSelections["appearance"] = "nurec"
    Sdf.CreateVariantInLayer(layer, at, "appearance", "nurec")
    inside = prim(layer, f"{at}{{appearance=nurec}}nurec", "Xform")
    inside.payloadList.Prepend(Sdf.Payload("./nurec/background.usda"))
    path.write_text(layer.ExportToString())
    return path
