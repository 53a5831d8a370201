"""Compare particle fields with NVIDIA's: one verb for each environment.

usage: usd_splat.py arrays OURS.usd THEIRS.usd      (usd-core)      exit 1 when an array differs
       usd_splat.py draw OURS.usd PICTURE.npz       (phone2sim)     a picture by our renderer, and its camera
       usd_splat.py trace OURS.usd PICTURE.npz      (newton)        the same by Newton's ray tracer; exit 1 below 26 dB
"""

import sys

import numpy as np

SIZE, FOV_DEG, LEAST_DB = 320, 40.0, 26.0
SOLID = 0.8
"""Newton draws a pixel where at least this much of it is covered, in the mean colour of what covers it, without the part
of the colour that depends on the direction: the comparison is of that."""
ARRAYS = ("positions", "scales", "orientations", "opacities", "radiance:sphericalHarmonicsCoefficients")


def field(path):
    from pxr import Usd

    stage = Usd.Stage.Open(path)
    prim = next(p for p in stage.Traverse() if p.GetTypeName() == "ParticleField3DGaussianSplat")
    out = {"stage": stage, "degree": prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()}
    for name in ARRAYS:
        value = prim.GetAttribute(name).Get()
        if name == "orientations":
            value = [[q.GetReal(), *q.GetImaginary()] for q in value]
        out[name] = np.array(value)
    return out


def arrays(ours, theirs):
    a, b = field(ours), field(theirs)
    n, worst = len(a["positions"]), 0.0
    for name in ARRAYS:
        x, y = a[name], b[name]
        if name == ARRAYS[-1]:  # ours are padded to degree 3
            x, y = x.reshape(n, -1, 3), y.reshape(n, -1, 3)
            k = min(x.shape[1], y.shape[1])
            worst = max(worst, float(np.abs(x[:, k:]).max(initial=0)), float(np.abs(y[:, k:]).max(initial=0)))
            x, y = x[:, :k], y[:, :k]
        if name == "orientations":  # q and -q turn alike
            y = y * np.sign((x * y).sum(axis=1, keepdims=True))
        worst = max(worst, float(np.abs(x - y).max()))
    print(f"{ours}: {n} Gaussians, largest difference from NVIDIA's converter {worst:.1e}")
    return worst > 1e-5


def look_from(low, high):
    """Eye, right, up and back of a camera that sees the box from above one corner."""
    middle, radius = (low + high) / 2, np.linalg.norm(high - low) / 2
    back = np.array([0.7, 0.45, 0.55]) / np.linalg.norm([0.7, 0.45, 0.55])
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return middle + 1.2 * radius / np.tan(np.radians(FOV_DEG / 2)) * back, right, np.cross(back, right), back


def draw(ours, target):
    from dataclasses import replace
    from pathlib import Path

    from phone2sim.reconstruct.splat.rasterize import rasterize
    from phone2sim.sim_export.usd.splat import read_splat

    cloud = read_splat(Path(ours))
    cloud = replace(cloud, sh=cloud.sh[:, :1])
    low, high = np.percentile(cloud.means, [2, 98], axis=0)
    eye, right, up, back = look_from(low, high)
    T = np.eye(4)
    T[:3] = np.stack([right, -up, -back, eye], axis=1)
    f = SIZE / 2 / np.tan(np.radians(FOV_DEG / 2))
    K = np.array([[f, 0, SIZE / 2], [0, f, SIZE / 2], [0, 0, 1]])
    image = rasterize(cloud, K=K, T_camera_world=np.linalg.inv(T), width=SIZE, height=SIZE, background=(0.0, 0.0, 0.0))
    rgb = np.maximum(image.rgb / np.maximum(image.alpha[..., None], 1e-3), 0)
    np.savez(target, rgb=rgb, alpha=image.alpha, eye=eye, right=right, up=up, back=back)
    return False


def trace(ours, reference):
    import newton
    import warp as wp
    from newton.sensors import SensorTiledCamera

    wp.config.quiet = True
    wp.init()
    wp.set_device("cpu")
    ref = np.load(reference)
    builder = newton.ModelBuilder(up_axis=newton.Axis.Z)
    builder.add_usd(ours)
    for source in builder.shape_source:
        source._min_response = 0.004  # as far out as a splat renderer draws: alpha 1/255
    model = builder.finalize(device="cpu")
    config = SensorTiledCamera.RenderConfig(
        output_color_space=newton.utils.ColorSpace.LINEAR,  # the authored colours
        gaussians_mode=SensorTiledCamera.GaussianRenderMode.QUALITY,
        gaussians_min_transmittance=1 - SOLID,
    )
    camera = SensorTiledCamera(model, default_render_config=config)
    rays = camera.utils.compute_pinhole_camera_rays(SIZE, SIZE, np.radians(FOV_DEG))
    q = wp.quat_from_matrix(wp.matrix_from_cols(*(wp.vec3(*(float(x) for x in ref[k])) for k in ("right", "up", "back"))))
    at = wp.array([[wp.transform(wp.vec3(*(float(x) for x in ref["eye"])), q)]], dtype=wp.transformf)
    image = camera.utils.create_color_image_output(SIZE, SIZE, 1)
    camera.update(model.state(), at, rays, color_image=image)
    rgb = image.numpy()[0, 0].view(np.uint8).reshape(SIZE, SIZE, 4)[..., :3] / 255.0
    drawn, sure = rgb.max(axis=-1) > 0, ref["alpha"] > SOLID + 0.1
    wrapped = ((rgb == 1.0) & (ref["rgb"] < 0.1)).any(axis=-1) | (ref["rgb"].max(axis=-1) > 0.97)
    both = drawn & sure & ~wrapped  # Newton's bytes overflow past white and, just above black, to 255
    db = -10 * np.log10(max(float(((rgb - ref["rgb"])[both] ** 2).mean()), 1e-12))
    missed, extra = (sure & ~drawn).sum() / sure.sum(), (drawn & (ref["alpha"] < SOLID - 0.1)).sum() / sure.sum()
    print(f"{ours}: {db:.1f} dB against Newton's ray tracer over {both.sum()} pixels ({wrapped[sure].mean():.1%} overflowed); {missed:.1%} missed, {extra:.1%} too many")
    np.savez(reference.replace(".npz", "_newton.npz"), rgb=rgb)
    return db < LEAST_DB or missed > 0.02 or extra > 0.02 or wrapped[sure].mean() > 0.1


if __name__ == "__main__":
    verbs = {"arrays": arrays, "draw": draw, "trace": trace}
    sys.exit(1 if verbs[sys.argv[1]](*sys.argv[2:]) else 0)
