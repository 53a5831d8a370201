"""What was sampled, as numbers by axis: for plots of what a data set covers and of what was rejected."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.spec import EpisodeSpec


def parameters(spec: EpisodeSpec) -> dict[str, float]:
    """`axis: what [unit]` → the spec's value; the task's object stands for all of them."""
    target = next(o for o in spec.objects if o.name == spec.task.target)
    light, s = spec.lights, spec.sensor
    out = {
        "lighting: lamp azimuth [°]": np.degrees(np.arctan2(-light.direction[1], -light.direction[0])),
        "lighting: lamp elevation [°]": np.degrees(np.arcsin(np.clip(-light.direction[2], -1, 1))),
        "lighting: background ×": np.mean(light.relight_rgb),
        "lighting: red to blue": light.relight_rgb[0] / max(light.relight_rgb[2], 1e-6),
        "clutter: objects": sum(o.role == "clutter" for o in spec.objects),
        "objects: target x [m]": target.pose.translation[0],
        "objects: target y [m]": target.pose.translation[1],
        "physics: target mass [g]": 1000 * target.mass_kg,
        "physics: target friction": target.friction,
        "robot_start: first joint [rad]": spec.robot.qpos[0] if spec.robot.qpos else 0.0,
        "sensor: exposure ×": s.exposure,
        "sensor: noise": s.noise_std,
        "surfaces: table height [cm]": 100 * spec.surfaces.height_m,
    }
    for c in spec.cameras:
        if not c.mount:
            out[f"camera: {c.name} height [m]"] = c.pose.translation[2]
            out[f"camera: {c.name} focal [px]"] = c.K[0][0]
    return {k: round(float(v), 6) for k, v in out.items()}
