"""Load an exported scene in real PhysX on the CPU, compare masses with the MJCF beside it, and let it rest for 2 s.

usage: usd_physx.py EXPORT_FOLDER       exit 1 when a mass differs by 1e-4 or an object moves more than 5 mm

Needs `ovphysx`, `physx-usd-schemas` and `newton-usd-schemas` (NVIDIA's licences), in an environment of their own.
"""

import os
import re
import sys
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


def main(folder):
    names, masses = props(folder), mjcf_masses(folder)
    PhysX.set_cpu_mode(True)
    px = PhysX()
    schemas = [*[str(p) for p in physx_schema_paths()], str(ovphysx.newton_schema_root())]
    ovstage.population.register_usd_schemas(schemas)
    stage = ovstage.Stage("scene")
    ovstage.population.open_usd(
        stage, os.path.abspath(f"{folder}/scene.usda"), ordinal=1, domains=ovstage.PopulationDomain.ALL
    )
    stage.advance_write_floor(ordinal=1).wait()
    px.wait_task(px.attach_ovstage(stage, read_ordinal=1))

    def read(name, what):
        binding = px.create_tensor_binding(
            pattern=f"/World/Props/{name}", tensor_type=getattr(TensorType, what), raise_if_empty=True
        )
        out = np.zeros(binding.shape, np.float32)
        binding.read(out)
        binding.destroy()
        return out.reshape(-1)

    start = {n: read(n, "RIGID_BODY_POSE") for n in names}
    for _ in range(int(SECONDS / STEP)):
        px.step_sync(STEP)
    wrong = 0
    for n in names:
        end = read(n, "RIGID_BODY_POSE")
        moved = 1000 * float(np.linalg.norm(end[:3] - start[n][:3]))
        turned = 2 * np.degrees(np.arccos(min(1.0, abs(float(end[3:] @ start[n][3:])))))
        speed = float(np.abs(read(n, "RIGID_BODY_VELOCITY")).max())
        mass, com = float(read(n, "RIGID_BODY_MASS")[0]), read(n, "RIGID_BODY_COM_POSE")[:3]
        print(
            f"{n}: {mass:.5f} kg, com {np.round(com, 5).tolist()}, moved {moved:.2f} mm {turned:.2f} deg, speed {speed:.4f}"
        )
        wrong += moved > 5 or abs(mass - masses.get(n, mass)) > 1e-4 * mass
    px.wait_task(px.detach_ovstage())
    stage.destroy()
    px.destroy()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
