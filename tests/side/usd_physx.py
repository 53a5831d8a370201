"""Load an exported scene in real PhysX on the CPU, compare masses with the MJCF beside it, and let it rest for 2 s.

usage: usd_physx.py EXPORT_FOLDER [TRIALS]      exit 1 when a mass differs by 1e-4 or an object moves more than 5 mm

With TRIALS (of `engine_trials.py`) also the difference from MuJoCo's rest poses, and its sliding trials in PhysX: exit 1
when one ends more than 12 mm from MuJoCo's.

Needs `ovphysx`, `physx-usd-schemas` and `newton-usd-schemas` (NVIDIA's licences), in an environment of their own.
"""

import json
import os
import re
import sys
import tempfile
from xml.etree import ElementTree

import numpy as np
import ovphysx
import ovstage
from ovphysx import PhysX
from ovphysx.samples.python_samples.schema_support import physx_schema_paths
from ovphysx.types import TensorType

SECONDS, STEP = 2.0, 1 / 240


def props(folder):
    """Names of the assembly's dynamic objects, in order."""
    return re.findall(r"\./assets/(\w+)/\w+\.usd@", open(f"{folder}/scene.usda").read())


def mjcf_masses(folder):
    """{name: kg} as the MJCF of the same export has them; empty without one."""
    if not os.path.exists(f"{folder}/scene.xml"):
        return {}
    bodies = ElementTree.parse(f"{folder}/scene.xml").getroot().iter("body")
    return {b.get("name"): float(b.find("inertial").get("mass")) for b in bodies if b.find("inertial") is not None}


def slide_stage(trials):
    """A stage of the trials as text: each object in a lane of a slick plane, already moving."""
    material = (
        'def Material "Slick" (prepend apiSchemas = ["PhysicsMaterialAPI", "PhysxMaterialAPI"]) {\n'
        + "".join(f"float physics:{k}Friction = {trials['support_friction']}\n" for k in ("static", "dynamic"))
        + 'uniform token physxMaterial:frictionCombineMode = "max"\n}\n'
    )
    ground = (
        'def Plane "Ground" (prepend apiSchemas = ["PhysicsCollisionAPI", "MaterialBindingAPI"]) {\n'
        'uniform token axis = "Z"\nrel material:binding:physics = </World/Slick>\n}\n'
    )
    scene = (
        'def PhysicsScene "Physics" (prepend apiSchemas = ["PhysxSceneAPI"]) {\nvector3f physics:gravityDirection = (0, 0, -1)\n'
        f"float physics:gravityMagnitude = 9.81\nuint physxScene:timeStepsPerSecond = {round(1 / STEP)}\n}}\n"
    )
    props = ""
    for k, t in enumerate(trials["slides"]):
        w, x, y, z = t["quat_wxyz"]
        over = "".join(f"float physics:{kind}Friction = {t['friction']}\n" for kind in ("static", "dynamic"))
        props += (
            f'def Xform "{t["name"]}" (prepend payload = @{t["usd"]}@) {{\n'
            f"double3 xformOp:translate = (0, {5 * k}, {-t['low_m']})\nquatd xformOp:orient = ({w}, {x}, {y}, {z})\n"
            'uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:orient"]\n'
            f"vector3f physics:velocity = ({t['velocity'][0]}, {t['velocity'][1]}, 0)\n"
            f'over "Looks" {{\nover "Physics" {{\n{over}}}\n}}\n}}\n'
        )
    head = '#usda 1.0\n(defaultPrim = "World"\nupAxis = "Z"\nmetersPerUnit = 1\nkilogramsPerUnit = 1)\n'
    return f'{head}def Xform "World" {{\n{scene}{material}{ground}def Xform "Props" {{\n{props}}}\n}}\n'


class Simulation:
    """A stage, attached to PhysX."""

    def __init__(self, px, path, name):
        self.px, self.stage = px, ovstage.Stage(name)
        ovstage.population.open_usd(self.stage, os.path.abspath(path), ordinal=1, domains=ovstage.PopulationDomain.ALL)
        self.stage.advance_write_floor(ordinal=1).wait()
        px.wait_task(px.attach_ovstage(self.stage, read_ordinal=1))

    def read(self, name, what):
        binding = self.px.create_tensor_binding(
            pattern=f"/World/Props/{name}", tensor_type=getattr(TensorType, what), raise_if_empty=True
        )
        out = np.zeros(binding.shape, np.float32)
        binding.read(out)
        binding.destroy()
        return out.reshape(-1)

    def run(self, seconds):
        for _ in range(int(seconds / STEP)):
            self.px.step_sync(STEP)

    def close(self):
        self.px.wait_task(self.px.detach_ovstage())
        self.stage.destroy()


def turn(a, b):
    """Angle [deg] between two quaternions in the same order."""
    return 2 * np.degrees(np.arccos(min(1.0, abs(float(np.dot(a, b))))))


def rest(px, folder, trials):
    names, masses = props(folder), mjcf_masses(folder)
    sim = Simulation(px, f"{folder}/scene.usda", "scene")
    start = {n: sim.read(n, "RIGID_BODY_POSE") for n in names}
    sim.run(SECONDS)
    wrong = 0
    for n in names:
        end = sim.read(n, "RIGID_BODY_POSE")
        moved = 1000 * float(np.linalg.norm(end[:3] - start[n][:3]))
        speed = float(np.abs(sim.read(n, "RIGID_BODY_VELOCITY")).max())
        mass, com = float(sim.read(n, "RIGID_BODY_MASS")[0]), sim.read(n, "RIGID_BODY_COM_POSE")[:3]
        said = f"{n}: {mass:.5f} kg, com {np.round(com, 5).tolist()}, moved {moved:.2f} mm {turn(end[3:], start[n][3:]):.2f} deg, speed {speed:.4f}"
        if trials:
            x, y, z, qw, qx, qy, qz = trials["rest"][n]
            apart = 1000 * float(np.linalg.norm(end[:3] - [x, y, z]))
            said += f"; from MuJoCo's rest {apart:.2f} mm {turn(end[3:], [qx, qy, qz, qw]):.2f} deg"
        print(said)
        rolls = bool(trials) and n in trials["rolls"]
        wrong += (moved > 5 and not rolls) or abs(mass - masses.get(n, mass)) > 1e-4 * mass
    sim.close()
    return wrong


def slide(px, trials):
    with tempfile.NamedTemporaryFile("w", suffix=".usda") as file:
        file.write(slide_stage(trials))
        file.flush()
        sim = Simulation(px, file.name, "slide")
        wrong = 0
        sim.run(SECONDS)
        for k, t in enumerate(trials["slides"]):
            slid = float(np.linalg.norm(sim.read(t["name"], "RIGID_BODY_POSE")[:2] - [0, 5 * k]))
            print(f"{t['name']}: slides {1000 * slid:.1f} mm, in MuJoCo {1000 * t['mujoco_slid_m']:.1f} mm, friction {t['friction']:.2f}")
            wrong += abs(slid - t["mujoco_slid_m"]) > 0.012
        sim.close()
    return wrong


def main(folder, trials=None):
    trials = json.load(open(trials)) if trials else None
    PhysX.set_cpu_mode(True)
    px = PhysX()
    schemas = [*[str(p) for p in physx_schema_paths()], str(ovphysx.newton_schema_root())]
    ovstage.population.register_usd_schemas(schemas)
    wrong = rest(px, folder, trials) + (slide(px, trials) if trials else 0)
    px.destroy()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
