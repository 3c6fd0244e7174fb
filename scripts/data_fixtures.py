#!/usr/bin/env python3
"""Writes the small files in foreign layouts that tests/data.rs of advect-envs reads.

    pip install h5py==3.16.0 numpy==2.4.6
    python3 scripts/data_fixtures.py crates/advect-envs/tests/data_files

They are kept in the repository, so that the tests need no Python: h5py's own booleans, string attributes, groups and filters.
Observations count up from 0, actions from 100, rewards from 1000.
"""

import json
import pathlib
import sys

import h5py
import numpy as np

OBS, ACT = 3, 2


def counting(start, *shape):
    return (start + np.arange(np.prod(shape))).reshape(shape).astype("float32")


def d4rl(path):
    """Two episodes: 4 steps that terminate, 3 that time out. Compressed, with booleans, next observations left out."""
    filters = {"compression": "gzip", "shuffle": True, "chunks": True}
    with h5py.File(path, "w") as file:
        file.create_dataset("observations", data=counting(0, 7, OBS), **filters)
        file.create_dataset("actions", data=counting(100, 7, ACT).astype("float64"), **filters)
        file.create_dataset("rewards", data=counting(1000, 7))
        file.create_dataset("terminals", data=np.arange(7) == 3)
        file.create_dataset("timeouts", data=np.arange(7) == 6)
        file.create_dataset("infos/qpos", data=counting(0, 7, 2), **filters)
        file.create_dataset("metadata/algorithm", data="SAC")


def minari(path):
    """Three episodes of a goal task, the first terminated, the others cut off; names out of order on purpose."""
    with h5py.File(path, "w") as file:
        file.attrs["env_spec"] = json.dumps({"id": "Counting-v0", "max_episode_steps": 5})
        file.attrs["total_episodes"] = 3
        for number, length in ((10, 2), (0, 3), (2, 1)):
            group = file.create_group(f"episode_{number}")
            group.attrs["seed"] = number
            goals = group.create_group("observations")
            start = 1000 * number
            goals.create_dataset("observation", data=counting(start, length + 1, OBS))
            goals.create_dataset("achieved_goal", data=counting(start + 500, length + 1, 1))
            goals.create_dataset("desired_goal", data=counting(start + 700, length + 1, 1))
            group.create_dataset("actions", data=counting(100, length, ACT), compression="gzip")
            group.create_dataset("rewards", data=counting(1000, length).astype("float64"))
            group.create_dataset("terminations", data=np.arange(length) == (length - 1 if number == 0 else -1))
            group.create_dataset("truncations", data=np.arange(length) == (length - 1 if number else -1))


def robomimic(path):
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1})
        data.attrs["total"] = 5
        for number, length in ((0, 2), (1, 3)):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = length
            demo.create_dataset("actions", data=counting(100, length, ACT))
            demo.create_dataset("rewards", data=counting(0, length))
            demo.create_dataset("dones", data=(np.arange(length) == length - 1).astype("int64"))
            for name, shift in (("obs", 0), ("next_obs", 10)):
                demo.create_dataset(f"{name}/robot0_eef_pos", data=counting(shift, length, 3))
                demo.create_dataset(f"{name}/object", data=counting(50 + shift, length, 2))
                demo.create_dataset(f"{name}/agentview_image", data=np.zeros((length, 4, 4, 3), "uint8"))
        file.create_dataset("mask/train", data=np.array([b"demo_0", b"demo_1"]))


def ogbench(path):
    np.savez_compressed(
        path,
        observations=counting(0, 6, OBS),
        actions=counting(100, 6, ACT),
        terminals=(np.arange(6) % 3 == 2).astype("float32"),
        qpos=counting(0, 6, 2),
    )


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    d4rl(folder / "d4rl.hdf5")
    minari(folder / "minari.hdf5")
    robomimic(folder / "robomimic.hdf5")
    ogbench(folder / "ogbench.npz")


if __name__ == "__main__":
    main()
