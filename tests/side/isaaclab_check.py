"""Load an exported Isaac Lab package in Isaac Lab 3 on its Newton backend on the CPU: masses, rest, randomisation.

usage: isaaclab_check.py PACKAGE_FOLDER SCENE_FOLDER/scene      exit 1 when a mass is off by 1e-4, an object does not rest within
5 mm of where it stands, a randomised value lies outside of its interval, or the key light is not as wide and strong as told
"""

import importlib
import json
import sys
from pathlib import Path

import torch

TIMESTEP, SECONDS, ENVS = 1 / 240, 2.0, 2


def main(package, scene):
    package = Path(package).resolve()
    sys.path.insert(0, str(package.parent))
    lab = importlib.import_module(package.name)
    expected = {n: json.loads((Path(scene) / n / "asset.json").read_text()) for n in lab.OBJECTS}

    import isaaclab.envs.mdp as mdp
    import isaaclab.sim as sim_utils
    from isaaclab.envs import ManagerBasedEnv, ManagerBasedEnvCfg
    from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg
    from isaaclab.utils.configclass import configclass

    @configclass
    class Nothing:
        pass

    @configclass
    class Observations:
        @configclass
        class Group(ObservationGroupCfg):
            pose = ObservationTermCfg(func=mdp.root_pos_w, params={"asset_cfg": SceneEntityCfg(lab.OBJECTS[0])})

        policy = Group()

    @configclass
    class Env(ManagerBasedEnvCfg):
        scene = lab.SceneCfg(num_envs=ENVS)
        actions = Nothing()
        observations = Observations()
        events = None
        decimation = 1
        sim = sim_utils.SimulationCfg(device="cpu", dt=TIMESTEP, physics=lab.newton(), save_logs_to_file=False)

    wrong = 0
    cfg = Env()
    cfg.events = lab.EventCfg()
    for name in lab.OBJECTS:  # first everything as captured
        for kind in ("mass", "material", "pose"):
            setattr(cfg.events, f"{name}_{kind}", None)
    env = ManagerBasedEnv(cfg)
    env.reset()
    wrong += light(env, cfg.scene.key)
    start = {n: data(env.scene[n].data.root_pos_w) for n in lab.OBJECTS}
    for n in lab.OBJECTS:
        mass = data(env.scene[n].data.body_mass).reshape(-1)
        off = float((mass / expected[n]["mass_kg"]["value"] - 1).abs().max())
        print(f"{n}: {mass[0]:.5f} kg, off by {off:.1e}")
        wrong += off > 1e-4
    none = torch.zeros(ENVS, 0)
    for _ in range(round(SECONDS / TIMESTEP)):
        env.step(none)
    for n in lab.OBJECTS:
        moved = float((data(env.scene[n].data.root_pos_w) - start[n]).norm(dim=-1).max())
        speed = float(data(env.scene[n].data.root_lin_vel_w).norm(dim=-1).max())
        print(f"{n}: after {SECONDS:g} s moved {1000 * moved:.2f} mm, speed {speed:.4f} m/s")
        wrong += moved > 0.005
    wrong += randomised(env, lab)
    env.close()
    print("GATE", "FAIL" if wrong else "OK")
    return 1 if wrong else 0


def randomised(env, lab):
    """Every term of the package's events, run by Isaac Lab's own manager."""
    from isaaclab.managers import EventManager

    events = lab.EventCfg()
    manager = EventManager(events, env)
    manager.apply(mode="startup")
    manager.apply(mode="reset", env_ids=torch.arange(ENVS), global_env_step_count=0)
    wrong = 0
    for n in lab.OBJECTS:
        low, high = getattr(events, f"{n}_mass").params["mass_distribution_params"]
        mass = data(env.scene[n].data.body_mass).reshape(-1)
        inside = bool(((mass >= low - 1e-6) & (mass <= high + 1e-6)).all())
        ranges = getattr(events, f"{n}_pose").params["pose_range"]
        origin = data(env.scene[n].data.default_root_pose)[:, :2] + env.scene.env_origins[:, :2]
        shift = (data(env.scene[n].data.root_pos_w)[:, :2] - origin).abs().max()
        near = float(shift) <= ranges["x"][1] + 1e-5
        print(f"{n}: randomised to {[round(float(m), 4) for m in mass]} kg of ({low:.4g}, {high:.4g}), moved {1000 * float(shift):.1f} mm")
        wrong += not (inside and near)
    return wrong


def light(env, key):
    """The key light on the stage that Isaac Lab made of its configuration."""
    prim = env.sim.stage.GetPrimAtPath(key.prim_path)
    wrong = 0
    for name in ("angle", "intensity"):
        want, got = getattr(key.spawn, name), prim.GetAttribute(f"inputs:{name}").Get()
        print(f"key light: {name} {got}")
        wrong += got is None or abs(got - want) > 1e-4 * want
    return wrong


def data(x):
    return (x.torch if hasattr(x, "torch") else torch.as_tensor(x)).clone()  # else it is what it will be


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
