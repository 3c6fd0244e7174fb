#!/usr/bin/env python3
"""Seconds per update of Stable-Baselines3 (PyTorch) and SBX (JAX), asked for by `cargo xtask bench peers`.

Reads lines {"package": "sb3" | "sbx", "algo": "sac" | "td3", "obs_dim": N, "act_dim": M, "hidden": [W, ...], "updates": U} and answers
each with {"value": SECONDS} or {"missing": WHY}; the line "ready?" is answered with {"value": 0}. Default settings of the packages,
batch 256; an update is what their `train` does for one gradient step, with its draw from the replay. The first question about an
algorithm builds it and takes it through its compilation, outside of the time.

The packages are pinned. `--setup` makes a virtual environment for them in $XDG_CACHE_HOME/advect (or ~/.cache/advect), several GB
(PyTorch from PyPI comes with its CUDA libraries, which are not used), and ends. Python 3.11 or newer. `--threads T` limits both packages.
"""

import argparse
import functools
import json
import os
import sys
import time

import private_python

PINNED = {
}
# Transitions in the replay, random.
TRANSITIONS = 10_000
BATCH = 256


def limit_threads(threads):
    """Before the packages start: JAX sizes its pool by the cores that the process may use."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"


@functools.cache
def model(package, algo, obs_dim, act_dim, hidden):
    """A model of that size with a full replay, taken through its first updates."""
    import gymnasium
    import numpy as np

    box = lambda width, bound: gymnasium.spaces.Box(-bound, bound, (width,), np.float32)
    env = gymnasium.Env()
    env.observation_space, env.action_space = box(obs_dim, np.inf), box(act_dim, 1.0)
    kind = getattr(__import__("stable_baselines3" if package == "sb3" else "sbx"), algo.upper())
    policy = {"net_arch": list(hidden)}
    agent = kind("MlpPolicy", env, batch_size=BATCH, buffer_size=TRANSITIONS, policy_kwargs=policy, device="cpu", seed=0)
    fill(agent.replay_buffer, obs_dim, act_dim)
    from stable_baselines3.common.logger import Logger

    agent.set_logger(Logger(folder=None, output_formats=[]))
    update(agent, 4)
    return agent


def fill(replay, obs_dim, act_dim):
    import numpy as np

    rng = np.random.default_rng(0)
    normal = lambda width: rng.standard_normal((1, width), np.float32)
    for _ in range(TRANSITIONS):
        act = rng.uniform(-1, 1, (1, act_dim)).astype(np.float32)
        replay.add(normal(obs_dim), normal(obs_dim), act, normal(1)[0], rng.uniform(size=1) < 0.01, [{}])


def update(agent, count):
    """`count` updates, one call of `train` each, as a training loop makes them."""
    for _ in range(count):
        agent._n_updates += 0
        agent.train(gradient_steps=1, batch_size=BATCH)
    waits = getattr(getattr(agent, "qf", None) or getattr(agent.policy, "qf_state", None), "params", None)
    if waits is not None:
        import jax

        jax.block_until_ready(waits)


def seconds(request):
    sizes = request["obs_dim"], request["act_dim"], tuple(request["hidden"])
    agent = model(request["package"], request["algo"], *sizes)
    start = time.perf_counter()
    update(agent, request["updates"])
    return (time.perf_counter() - start) / request["updates"]


def answer(request):
    if request == "ready?":
        return {"value": 0}
    try:
        return {"value": seconds(request)}
    except Exception as error:  # whatever a package raises for what it cannot do
        return {"missing": f"{type(error).__name__}: {error}".splitlines()[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--setup", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(private_python.FLAG, action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    name = "peers-sbx-{sbx-rl}-torch-{torch}".format(**PINNED)
    private_python.ensure(name, PINNED, make=args.setup)
    if args.setup:
        return
    limit_threads(args.threads)
    # what a package prints must not stand between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
