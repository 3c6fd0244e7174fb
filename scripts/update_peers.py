#!/usr/bin/env python3
"""Seconds per update of Stable-Baselines3 (PyTorch) and SBX (JAX), asked for by `cargo xtask bench peers`.

Reads lines {"package": "sb3" | "sbx", "algo": "sac" | "td3", "obs_dim": N, "act_dim": M, "hidden": [W, ...], "updates": U} and answers
each with {"value": SECONDS} or {"missing": WHY}; the line "ready?" is answered with {"value": 0}. Default settings of the packages,
batch 256; an update is what their `train` does for one gradient step, with its draw from the replay. The first question about an
algorithm builds it and takes it through its compilation, outside of the time.

The packages are pinned. `--setup` makes a virtual environment for them in $XDG_CACHE_HOME/advect (or ~/.cache/advect), several GB
(PyTorch from PyPI comes with its CUDA libraries, which are not used), and ends. Python 3.11 or newer. `--threads T` limits both packages.

`--installed` takes the packages of the Python that runs the script, whatever their versions, and computes on a GPU: for `advect
device-report`, which carries this file with it.
"""

import argparse
import functools
import json
import os
import sys
import time

PINNED = {
    "absl-py": "2.5.1",
    "aiofiles": "25.1.0",
    "attrs": "26.1.0",
    "cloudpickle": "3.1.2",
    "decorator": "5.3.1",
    "dm-tree": "0.1.10",
    "etils": "1.15.0",
    "Farama-Notifications": "0.0.6",
    "filelock": "4.2.11",
    "flax": "0.12.8",
    "fsspec": "2026.9.0",
    "gast": "0.7.0",
    "gymnasium": "1.4.0",
    "humanize": "4.17.0",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "Jinja2": "3.1.6",
    "markdown-it-py": "4.3.0",
    "MarkupSafe": "3.0.4",
    "mdurl": "0.1.2",
    "ml_dtypes": "0.6.0",
    "mpmath": "1.3.0",
    "msgpack": "1.2.4",
    "networkx": "3.6.1",
    "numpy": "2.4.6",
    "nvidia-cublas": "13.4.1.3",
    "nvidia-cuda-cupti": "13.2.86",
    "nvidia-cuda-nvrtc": "13.2.86",
    "nvidia-cuda-runtime": "13.2.86",
    "nvidia-cudnn-cu13": "9.26.0.51",
    "nvidia-cufft": "12.2.0.57",
    "nvidia-cufile": "1.17.1.22",
    "nvidia-cusolver": "12.2.0.11",
    "nvidia-cusparse": "12.7.10.12",
    "nvidia-cusparselt-cu13": "0.8.1",
    "nvidia-nccl-cu13": "2.30.7",
    "nvidia-nvjitlink": "13.5.37",
    "nvidia-nvshmem-cu13": "3.7.2",
    "opt_einsum": "3.4.0",
    "optax": "0.2.8",
    "orbax-checkpoint": "0.12.8",
    "prometheus_client": "0.26.0",
    "protobuf": "7.36.2",
    "Pygments": "2.21.0",
    "PyYAML": "6.0.3",
    "rich": "15.0.0",
    "sbx-rl": "0.28.0",
    "scipy": "1.17.1",
    "simplejson": "4.3.0",
    "six": "1.17.0",
    "stable_baselines3": "2.9.2",
    "sympy": "1.14.0",
    "tensorstore": "0.1.86",
    "tfp-nightly": "0.26.0.dev20261027",
    "torch": "2.15.0",
    "tqdm": "4.70.1",
    "treescope": "0.1.10",
    "typing_extensions": "4.16.0",
    "wrapt": "2.5.2",
    "zipp": "4.1.2",
}
# Transitions in the replay, random.
TRANSITIONS = 10_000
BATCH = 256
DEVICE = "cpu"


def limit_threads(threads):
    """Before the packages start: JAX sizes its pool by the cores that the process may use."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["JAX_PLATFORMS"] = "cpu"


def use_gpu():
    """Before the packages start: neither may fall back to the CPU without saying so."""
    global DEVICE
    DEVICE = "cuda"
    os.environ["JAX_PLATFORMS"] = "cuda"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


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
    agent = kind("MlpPolicy", env, batch_size=BATCH, buffer_size=TRANSITIONS, policy_kwargs=policy, device=DEVICE, seed=0)
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
    """`count` updates, one call of `train` each, as a training loop makes them; `train` ends with reading its losses."""
    for _ in range(count):
        agent.train(gradient_steps=1, batch_size=BATCH)


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


def in_private_environment(parser):
    """Goes on where the pinned packages are; ends if they were only to be installed."""
    import private_python

    parser.add_argument("--setup", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(private_python.FLAG, action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    name = "peers-sbx-{sbx-rl}-torch-{torch}".format(**PINNED)
    private_python.ensure(name, PINNED, make=args.setup)
    if args.setup:
        sys.exit()
    limit_threads(args.threads)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--installed", action="store_true")
    if "--installed" in sys.argv:
        parser.parse_args()
        use_gpu()
    else:
        in_private_environment(parser)
    # what a package prints must not stand between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
