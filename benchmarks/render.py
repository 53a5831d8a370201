"""CPU time of episode pictures: `EpisodeRenderer` against MuJoCo's classic renderer on the same meshes.

    MUJOCO_GL=egl python benchmarks/render.py            # or osmesa; MuJoCo is left out where it has no OpenGL
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import trimesh

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.augment.spec import CameraSpec, LightSpec, PoseSpec, SensorSpec
from phone2sim.keys import Key
from phone2sim.poses import look_at, matrix_to_quat
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.sample.catalog import make_object
from phone2sim.sim_export.render import EpisodeRenderer, RenderPart


def foreground(faces: int) -> tuple[list[RenderPart], np.ndarray]:
    """Textured objects, and an arm of capsules that fills up to about `faces` faces."""
    parts, poses = [], []
    for k, name in enumerate(("tea_box", "can", "block", "bottle")):
        o = make_object(name, Key(0).child(name))
        s = o.shape
        parts.append(RenderPart(name=name, mesh=TexturedMesh(vertices=s.vertices, faces=s.faces, uv=s.uv, texture=o.texture)))
        T = np.eye(4)
        T[:2, 3] = 0.16 * np.cos(1.5 * k), 0.14 * np.sin(1.5 * k)
        poses.append(T)
    n = max(6, int(np.sqrt((faces - sum(len(p.mesh.faces) for p in parts)) / 16)))
    for k in range(8):
        m = trimesh.creation.capsule(height=0.12, radius=0.05 - 0.004 * k, count=[n, n])
        parts.append(RenderPart(name=f"link{k}", mesh=TexturedMesh(vertices=m.vertices, faces=m.faces), double_sided=False))
        T = trimesh.transformations.euler_matrix(0, 0.2 * k, 0.5)
        T[:3, 3] = -0.35 + 0.035 * k, 0.2, 0.06 + 0.09 * k - 0.006 * k * k
        poses.append(T)
    return parts, np.stack(poses)


def table_cloud() -> SplatCloud:
    rng = np.random.default_rng(0)
    g = np.stack(np.meshgrid(np.arange(-1, 1, 0.01), np.arange(-1, 1, 0.01)), -1).reshape(-1, 2)
    return SplatCloud(
        means=np.concatenate([g, np.zeros((len(g), 1))], 1), quats_wxyz=np.tile([1.0, 0, 0, 0], (len(g), 1)),
        scales=np.tile([0.008, 0.008, 0.001], (len(g), 1)), opacities=np.full(len(g), 0.95),
        sh=rng.normal(0, 0.3, (len(g), 1, 3)),
    )  # fmt: skip


def cpu_ms(f: Callable[[], object], repeats: int) -> float:
    f()
    start = time.process_time()
    for _ in range(repeats):
        f()
    return (time.process_time() - start) / repeats * 1e3


def mujoco_ms(parts: list[RenderPart], poses: np.ndarray, eye: np.ndarray, size: int, repeats: int) -> float:
    import mujoco

    spec = mujoco.MjSpec()
    spec.visual.global_.offwidth = spec.visual.global_.offheight = size
    for p, T in zip(parts, poses):
        m = p.mesh
        options = {} if m.uv is None else {"usertexcoord": m.uv.ravel()}
        spec.add_mesh(name=p.name, uservert=m.vertices.ravel(), userface=m.faces.ravel(), **options)
        body = spec.worldbody.add_body(pos=T[:3, 3], quat=matrix_to_quat(T[:3, :3]))
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=p.name)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1])
    spec.worldbody.add_light(pos=[0.3, 0.3, 2], dir=[-0.2, -0.2, -1], castshadow=True)
    pose = look_at(eye, np.zeros(3))
    flip = np.diag([1.0, -1, -1])
    spec.worldbody.add_camera(name="c", pos=eye, quat=matrix_to_quat(pose.rotation @ flip), fovy=48)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, size, size) as r:

        def draw() -> None:
            r.update_scene(data, "c")
            r.render()

        return cpu_ms(draw, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=60)
    a = parser.parse_args()
    parts, poses = foreground(a.faces)
    eye, f = np.array([0.55, -0.6, 0.6]), 1.1 * a.size
    pose = look_at(eye, np.zeros(3))
    cameras = [
        CameraSpec(
            name=name, width=a.size, height=a.size, K=((f, 0, a.size / 2), (0, f, a.size / 2), (0, 0, 1)),
            pose=PoseSpec(translation=tuple(pose.translation), quat_wxyz=tuple(pose.quat_wxyz)),
        )
        for name in ("a", "b")
    ]  # fmt: skip
    sh = np.zeros((9, 3))
    sh[0] = 1.5
    given: dict = {
        "background": table_cloud(), "parts": parts, "cameras": cameras, "sensor": SensorSpec(noise_std=0.01, blur_px=0.4), "key": Key(0),
        "lights": LightSpec(direction=(0.3, 0.2, -0.93), key_rgb=(0.6, 0.6, 0.6), ambient_sh=tuple(map(tuple, sh.tolist()))),
    }  # fmt: skip
    everything = EpisodeRenderer(**given)
    still = {p.name: T for p, T in zip(parts, poses) if not p.name.startswith("link")}
    arm = EpisodeRenderer(**given, still=still)
    print(f"{sum(len(p.mesh.faces) for p in parts)} faces, {a.size}², 2×2 samples, one thread, CPU ms a picture (of 2 cameras)")
    print(f"  everything moves         {cpu_ms(lambda: everything.frame(poses, 0), a.repeats) / 2:6.2f}")
    print(f"  only the arm moves       {cpu_ms(lambda: arm.frame(poses, 0), a.repeats) / 2:6.2f}")
    try:
        print(f"  MuJoCo classic           {mujoco_ms(parts, poses, eye, a.size, a.repeats):6.2f}")
    except Exception as e:
        print(f"  MuJoCo classic: not here ({type(e).__name__}: {str(e).splitlines()[0][:90]})")


if __name__ == "__main__":
    main()
