"""How near pictures are to path-traced references: our compositor, and MuJoCo's classic renderer on the same scene.

    MUJOCO_GL=egl python benchmarks/pathtraced.py SCENE DATASET --frames 20 --samples 512 --json out.json --picture out.jpg

Frames of the dataset's episodes, spread over episodes, cameras and time, with no lens and no sensor. All three share the
meshes, the textures, the splat backdrop and the episode's light. MuJoCo gets the best we could give it: a shadow map
of 8192², 4×4 samples a pixel, smooth normals; its lights work on encoded colours, so they are set to meet the true
encoded level in full light and in full shade; and its table is the splat backdrop times (with parts / without parts).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import mujoco
import numpy as np

from phone2sim._native.mesh import srgb_to_linear, to_srgb8
from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import CameraSpec, LightSpec, SensorSpec
from phone2sim.poses import matrix_to_quat
from phone2sim.reconstruct.splat.perceptual import load_perceptual
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.pictures import PartPoses, SpecPictures
from phone2sim.sim_export.render.background import BackgroundCache, camera_matrices
from phone2sim.sim_export.render.parts import RenderPart
from phone2sim.sim_export.render.retexture import dressed

FINE = 4
"""MuJoCo's samples a pixel, across."""


def encoded(linear: np.ndarray) -> np.ndarray:
    a = np.clip(linear, 0, None)
    return np.where(a <= 0.0031308, 12.92 * a, 1.055 * a ** (1 / 2.4) - 0.055)


def mujoco_scene(parts: list[RenderPart], T_world_part: np.ndarray, lights: LightSpec, camera: CameraSpec, height_m: float) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    v = spec.visual
    v.global_.offwidth, v.global_.offheight = FINE * camera.width, FINE * camera.height
    v.quality.shadowsize, v.quality.offsamples = 8192, 8
    v.map.znear, v.map.zfar, v.map.shadowclip = 0.01, 50, 1.0
    spec.stat.extent, spec.stat.center = 1.0, [0, 0, 0]
    for p, T in zip(parts, T_world_part):
        m, gain = p.mesh, encoded(np.array(p.rgb_gain))
        options = {}
        material = spec.add_material(name=p.name, specular=p.gloss, shininess=0.5)
        if m.uv is not None and m.texture is not None:
            picture = np.clip(m.texture * gain, 0, 255).astype(np.uint8)
            h, w = picture.shape[:2]
            spec.add_texture(
                name=p.name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=w, height=h, nchannel=3, data=picture.ravel().tolist()
            )
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = p.name
            options["usertexcoord"] = np.stack([m.uv[:, 0], 1 - m.uv[:, 1]], -1).ravel()
        else:
            material.rgba = [*encoded(np.array(p.rgb) * p.rgb_gain), 1]
        spec.add_mesh(
            name=p.name, uservert=m.vertices.ravel(), userface=m.faces.ravel(), usernormal=m.vertex_normals.ravel(),
            inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL, **options,
        )  # fmt: skip
        body = spec.worldbody.add_body(name=p.name, pos=T[:3, 3], quat=matrix_to_quat(T[:3, :3]))
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=p.name, material=p.name, group=1)
    spec.add_material(name="grey", rgba=[0.8, 0.8, 0.8, 1], specular=0)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[2, 2, 0.1], pos=[0, 0, height_m], material="grey")
    shade = np.maximum(np.array(lights.ambient_sh)[0] * 0.282095, 0)
    low, high = encoded(shade), encoded(shade + np.array(lights.key_rgb))
    v.headlight.ambient, v.headlight.diffuse, v.headlight.specular = low, np.zeros(3), np.zeros(3)
    d = np.array(lights.direction)
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=-1.5 * d, dir=d, castshadow=True, ambient=np.zeros(3), diffuse=high - low, specular=high - low
    )
    K, T = camera_matrices(camera)
    spec.worldbody.add_camera(
        name="c", pos=T[:3, 3], quat=matrix_to_quat(T[:3, :3] @ np.diag([1.0, -1, -1])), fovy=np.degrees(2 * np.arctan(camera.height / 2 / K[1, 1]))
    )
    return spec.compile()


def mujoco_picture(parts: list[RenderPart], T: np.ndarray, lights: LightSpec, camera: CameraSpec, height_m: float, backdrop: np.ndarray, table: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: MuJoCo's parts, and its shading of the table, on the backdrop."""
    model = mujoco_scene(parts, T, lights, camera, height_m)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    shown, bare = mujoco.MjvOption(), mujoco.MjvOption()
    bare.geomgroup[1] = 0
    pictures = {}
    with mujoco.Renderer(model, FINE * camera.height, FINE * camera.width) as r:
        for name, option in (("with", shown), ("without", bare)):
            r.update_scene(data, "c", option)
            pictures[name] = r.render().astype(np.float32) / 255
        r.enable_segmentation_rendering()
        r.update_scene(data, "c", shown)
        seen = r.render()[..., 0]
        r.disable_segmentation_rendering()
        r.enable_depth_rendering()
        r.update_scene(data, "c", shown)
        near = r.render()
    fine = [np.repeat(np.repeat(a, FINE, 0), FINE, 1) for a in (encoded(backdrop), table, depth)]
    part = np.isin(seen, np.flatnonzero(model.geom_group == 1)) & ((near < fine[2] + 0.03) | fine[1])
    ratio = pictures["with"] / np.maximum(pictures["without"], 1 / 255)
    out = np.where(part[..., None], pictures["with"], np.where(fine[1][..., None], fine[0] * ratio, fine[0]))
    linear = srgb_to_linear(np.clip(out, 0, 1))
    linear = linear.reshape(camera.height, FINE, camera.width, FINE, 3).mean(axis=(1, 3))
    return to_srgb8(linear)


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    error = np.mean((a[where].astype(float) - b[where]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def plain(camera: CameraSpec) -> CameraSpec:
    """No distortion, principal point in the middle: what MuJoCo's cameras can do."""
    f = camera.K[0][0]
    K = ((f, 0.0, camera.width / 2), (0.0, f, camera.height / 2), (0.0, 0.0, 1.0))
    return camera.model_copy(update={"K": K, "distortion": ()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="three columns: reference, ours, MuJoCo")
    parser.add_argument("--references", type=Path, help="keep the references here, and use those that are there")
    a = parser.parse_args()
    scene = Scene.load(a.scene)
    folders = sorted((a.dataset / "episodes").glob("[0-9]*"))
    lpips, why = load_perceptual()
    cache, rows, sheet = BackgroundCache(), [], []
    for k in range(a.frames):
        episode = Episode.read(folders[k % len(folders)])
        cameras = [c for c in episode.spec.cameras if not c.mount]
        camera = plain(cameras[(k // len(folders)) % len(cameras)])
        t = int((0.15 + 0.7 * ((k * 0.618) % 1)) * len(episode))
        spec = episode.spec.model_copy(update={"cameras": (camera,), "sensor": SensorSpec()})
        poses = episode.object_poses[t], episode.robot_poses[t]
        fast = SpecPictures(scene, spec, episode.robot_bodies, cache=cache)
        shot = fast.shots(*poses, t, truth=True)[camera.name]
        kept = a.references / f"{k:03d}.png" if a.references else None
        if kept and kept.exists():
            reference = cv2.imread(str(kept))[..., ::-1]
        else:
            traced = SpecPictures(scene, spec, episode.robot_bodies, cache=cache, samples=a.samples)
            reference = traced.draw(*poses, t)[camera.name]
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(kept), np.ascontiguousarray(reference[..., ::-1]))
        K, T_camera = camera_matrices(camera)
        height = next(s.height_m for s in scene.supports if s.name == spec.support)
        view = cache.view(scene.background, camera, support_height_m=height)
        backdrop = dressed(view, spec.surfaces, spec.lights, K=K, T_world_camera=T_camera)
        T = PartPoses(spec, episode.robot_bodies).of(*poses)
        classic = mujoco_picture(fast.parts, T, spec.lights, camera, height, backdrop, view.table, view.depth)
        assert shot.truth is not None
        fg = shot.truth.part >= 0
        table = view.table & ~fg
        row: dict = {"frame": k, "episode": folders[k % len(folders)].name, "camera": camera.name, "step": t}
        for name, picture in (("ours", shot.rgb), ("mujoco", classic)):
            regions = {"all": np.ones_like(fg), "parts": fg, "table": table}
            row[name] = {r: round(psnr(picture, reference, where), 2) for r, where in regions.items()}
            if lpips:
                row[name]["lpips"] = round(lpips(*(p.transpose(2, 0, 1) / 255 for p in (picture, reference))), 4)
        rows.append(row)
        print(row, flush=True)
        if k < 4:
            sheet.append(np.concatenate([reference, shot.rgb, classic], axis=1))
    mean = {n: {r: round(float(np.mean([row[n][r] for row in rows])), 2) for r in rows[0][n]} for n in ("ours", "mujoco")}
    better = sum(row["ours"]["all"] > row["mujoco"]["all"] for row in rows)
    print(f"mean PSNR of {len(rows)} frames: {mean}; ours nearer on {better}" + (f"; no LPIPS: {why}" if why else ""))
    if a.json:
        a.json.write_text(json.dumps({"samples": a.samples, "mean": mean, "ours_nearer": better, "frames": rows}, indent=1))
    if a.picture:
        cv2.imwrite(str(a.picture), np.ascontiguousarray(np.concatenate(sheet)[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
