#!/usr/bin/env python3
"""Writes reference trajectories of Gymnasium's and Gymnasium-Robotics' environments for the parity tests of advect-envs.

    python3 scripts/mujoco_reference.py --out DIR
    ADVECT_MUJOCO_REFERENCE=DIR cargo test --release -p advect-envs --test parity --test parity_robotics

The packages are pinned. Unless the running Python has exactly them, the script makes a virtual environment
in $XDG_CACHE_HOME/advect (or ~/.cache/advect) and runs itself there. It needs Python 3.11 or newer.

One file per trajectory, DIR/ID--DRIVER--SEED.bin, little-endian:
    8 bytes "ADVREF01"; u32 nq, nv, nu, obs_dim; then records until the end of the file:
    u8 0 (reset): qpos f64[nq], qvel f64[nv] as given to the simulator, obs f64[obs_dim]
    u8 1 (step):  action f32[nu], obs f64[obs_dim], reward f64, u8 terminated, u8 truncated
To `terminated` is added 2 where the environment says whether the task is achieved, and 4 if it is.
Pendulum-v1 and MountainCarContinuous-v0 have no simulator: their "qpos" and "qvel" are the angle or position and its velocity.

A file name has "." for "/" in an id. The observation of a maze is `observation`, `achieved_goal` and `desired_goal` behind
one another, so a reset's goal is its last two numbers. That of the kitchen is `observation` alone, without noise. Fetch is as the
mazes, with goals of three numbers; its "qpos" and "qvel" are those after the reset, which the reset does not change.

Adroit's resets draw numbers of the model: these follow qpos in the file, and are counted in nq. Those of the Shadow hand let a block settle:
its qpos is that before, and its observation, with the goal, that after.

NumPy rounds arccos, arctan2 and products of matrices differently on processors with AVX-512; it is told not to use that. A processor with fused
multiplication is needed (any x86-64 since 2013).
"""

import argparse
import os
import pathlib
import struct
import types

import private_python

ENVIRONMENT = "gymnasium-{gymnasium}-robotics-{gymnasium-robotics}-mujoco-{mujoco}"
PINNED = {
    "gymnasium": "1.4.0",
    "gymnasium-robotics": "1.4.2",
    "mujoco": "3.17.0",
    "numpy": "2.4.6",
    "absl-py": "2.5.1",
    "cloudpickle": "3.1.2",
    "etils": "1.15.0",
    "Farama-Notifications": "0.0.6",
    "fsspec": "2026.9.0",
    "glfw": "2.11.0",
    "imageio": "2.38.1",
    "packaging": "26.3",
    "PettingZoo": "1.27.0",
    "pillow": "13.0.0",
    "PyOpenGL": "3.1.10",
    "typing_extensions": "4.16.0",
    "websockets": "17.4",
    "zipp": "4.1.2",
}

# Gains of a controller that holds the joints at the reference pose: long upright motion, where random
# actions fall at once. Hopper and Ant then reach the time limit, Walker2d some hundred steps.
HOLD_GAINS = {
    "Hopper": (200.0, 20.0),
    "Walker2d": (200.0, 10.0),
    "Ant": (20.0, 1.0),
    "Humanoid": (50.0, 5.0),
    "AntGoal": (20.0, 1.0),
}
HOLD_NOISE = 0.02
# Noise of the controller that balances the pendulums.
BALANCE_NOISE = 0.05
# Force and noise of the driver that pushes the mountain car along its motion.
PUMP_FORCE = 0.7
PUMP_NOISE = 0.3

# name: {driver: steps}; seeds are 0 .. SEEDS - 1. 1100 steps go beyond the time limit of 1000.
LOCOMOTION = {
    "HalfCheetah": {"random": 1100},
    "Swimmer": {"random": 1100},
    "Hopper": {"random": 400, "hold": 1100},
    "Walker2d": {"random": 400, "hold": 1100},
    "Ant": {"random": 1100, "hold": 1100},
    "Humanoid": {"random": 400, "hold": 600},
    "HumanoidStandup": {"random": 1100},
    "Reacher": {"random": 160},
    "InvertedPendulum": {"random": 200, "balance": 1100},
    "InvertedDoublePendulum": {"random": 200, "balance": 1100},
}
NAMES = {f"{name}-{version}": drivers for name, drivers in LOCOMOTION.items() for version in ("v5", "v4")}
# Gymnasium refuses Pusher-v4 on this MuJoCo.
NAMES |= {"Pusher-v5": {"random": 320}, "Pendulum-v1": {"random": 450}}
NAMES |= {"MountainCarContinuous-v0": {"random": 2100, "pump": 1100}}

# The kitchen's task sets; an id without one has all seven.
KITCHEN = "FrankaKitchen-v1"
KITCHEN_TASKS = {
    "complete": ["microwave", "kettle", "light switch", "slide cabinet"],
    "partial": ["microwave", "kettle", "light switch", "slide cabinet"],
    "mixed": ["microwave", "kettle", "bottom burner", "light switch"],
    "microwave": ["microwave"],
    "hinge_cabinet+top_burner": ["hinge cabinet", "top burner"],
}
NAMES |= {f"{KITCHEN}/{tasks}": {"moved": 150} for tasks in KITCHEN_TASKS}
NAMES |= {KITCHEN: {"random": 300, "moved": 300, "lasting": 60}}

# Every maze with sparse and dense rewards; some go beyond the time limit.
LAYOUTS = ["UMaze"] + [
    size + goals for size in ("Open", "Medium", "Large") for goals in ("", "_Diverse_G", "_Diverse_GR")
]
for layout in [layout + reward for layout in LAYOUTS for reward in ("", "Dense")]:
    NAMES[f"PointMaze_{layout}-v3"] = {"random": 100, "seek": 850, "episodic": 600}
    NAMES |= {f"AntMaze_{layout}-{version}": {"random": 60, "near": 60} for version in ("v5", "v4")}
NAMES |= {f"AntMaze_UMaze-{version}": {"random": 720, "near": 200} for version in ("v5", "v4")}
NAMES |= {f"AntMaze_MediumDense-{version}": {"random": 1020, "near": 60} for version in ("v5", "v4")}

# The Fetch robot. Every task is driven at random and by a script; the scripts do most of what is asked, in several episodes.
FETCH = {"FetchReach": "reach", "FetchPush": "push", "FetchSlide": "push", "FetchPickAndPlace": "pick"}
for name, driver in FETCH.items():
    NAMES[f"{name}-v4"] = {"random": 320, driver: 1020, "lasting_" + driver: 600}
    NAMES[f"{name}Dense-v4"] = {"random": 120, driver: 320}
# Steps of an episode of the drivers "lasting_"; those of the others have 50.
LASTING = 300
# FM-IRL's ant on its way to a flag, which no package has; the driver "touching" computes contact forces.
ANT_GOAL = "AntGoal-v0"
NAMES[ANT_GOAL] = {"random": 120, "hold": 120, "touching": 120}
# The Adroit hand; two episodes and the start of a third.
ADROIT = ("Door", "Hammer", "Pen", "Relocate")
for name in [f"AdroitHand{name}{reward}-v1" for name in ADROIT for reward in ("", "Sparse")]:
    NAMES[name] = {"random": 420, "waves": 420, "placed": 420}

# The Shadow hand with a block, and FM-IRL's variant of it.
FM_IRL_HAND = "CustomHandManipulateBlockRotateZ-v0"
HANDS = ("RotateZ", "RotateParallel", "RotateXYZ", "Full", "")
for name in [f"HandManipulateBlock{name}{reward}-v1" for name in HANDS for reward in ("", "Dense")] + [FM_IRL_HAND]:
    NAMES[name] = {"random": 120, "waves": 220, "turned": 320}

TRAJECTORIES = [(name, *driver) for name, drivers in NAMES.items() for driver in drivers.items()]
SEEDS = 3


def make(env_id, driver):
    """The environment of an id, the kitchen's noise off; an episodic maze ends at the goal."""
    import gymnasium

    name, _, tasks = env_id.partition("/")
    options = {}
    if name == KITCHEN or any(part in name for part in ("Maze", "Fetch", "Hand")):
        prepare_robotics()
    if name == ANT_GOAL:
        register_ant_goal()
        options["contact_forces"] = driver == "touching"
    if name == FM_IRL_HAND and name not in gymnasium.registry:
        register_fm_irl_hand()
    if name == KITCHEN:
        options = {"robot_noise_ratio": 0.0, "object_noise_ratio": 0.0}
    if tasks:
        options["tasks_to_complete"] = KITCHEN_TASKS[tasks]
    if driver == "lasting":
        options |= {"terminate_on_tasks_completed": False, "remove_task_when_completed": False}
    if driver == "episodic":
        options["continuing_task"] = False
    if driver.startswith("lasting_"):
        options["max_episode_steps"] = LASTING
    return gymnasium.make(name, **options)


def prepare_robotics():
    """Registers Gymnasium-Robotics, and replaces functions that compare enums in a way that this MuJoCo refuses."""
    import gymnasium
    import gymnasium_robotics
    from gymnasium_robotics.utils import mujoco_utils

    gymnasium.register_envs(gymnasium_robotics)
    mujoco_utils.get_joint_qpos = lambda model, data, name: data.joint(name).qpos.copy()
    mujoco_utils.get_joint_qvel = lambda model, data, name: data.joint(name).qvel.copy()

    def set_joint_qpos(model, data, name, value):
        data.joint(name).qpos[:] = value

    mujoco_utils.set_joint_qpos = set_joint_qpos


def register_ant_goal():
    """Registers `AntGoal-v0`, restated from goal_prox_il's facts: Gymnasium's ant, and a flag that stands at the goal."""
    import gymnasium
    import mujoco
    import numpy as np
    from gymnasium.envs.mujoco import mujoco_env

    assets = pathlib.Path(mujoco_env.__file__).parent / "assets"
    flag = [
        (mujoco.mjtGeom.mjGEOM_BOX, {"size": [0.5, 0.5, 0.5]}),
        (mujoco.mjtGeom.mjGEOM_CYLINDER, {"size": [0.08, 0, 0], "fromto": [0, -0.3, 0, 0, 1.3, 0]}),
        (mujoco.mjtGeom.mjGEOM_BOX, {"size": [0.4, 0.25, 0.05], "pos": [0.4, 0.95, 0]}),
    ]

    def compiled():
        spec = mujoco.MjSpec.from_file(str(assets / "ant.xml"))
        spec.option.timestep = 0.02
        goal = spec.worldbody.add_body(name="goal", pos=[0.4, 0.1, 0.04])
        goal.add_freejoint()
        for kind, shape in flag:
            goal.add_geom(
                type=kind, mass=0.2, contype=1, conaffinity=2, condim=3, margin=0.01, friction=[1, 0.5, 0.5], **shape
            )
        for geom in spec.geoms:
            geom.solimp[:3] = [0.8, 0.8, 0.01]
        return spec.compile()

    class AntGoal(gymnasium.Env):
        """The task; its first positions are the legs' of `init_qpos`, the goal and a flag that stands there."""

        def __init__(self, contact_forces):
            self.model, self.contact_forces = compiled(), contact_forces
            self.data, self.goal = mujoco.MjData(self.model), None
            self.init_qpos = np.zeros(22)
            self.init_qpos[[2, 3, 17]] = 0.55, 1.0, 0.15
            self.init_qpos[[8, 10, 12, 14]] = 1.0, -1.0, -1.0, 1.0
            self.init_qpos[18:20] = np.sqrt(0.5)
            self.action_space = gymnasium.spaces.Box(-1, 1, (8,))
            self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (132,), np.float64)

        def set_state(self, qpos, qvel):
            mujoco.mj_resetData(self.model, self.data)
            self.data.qpos[:], self.data.qvel[:] = qpos, qvel
            mujoco.mj_forward(self.model, self.data)

        def observation(self):
            data = self.data
            forces = data.cfrc_ext[1:].clip(-1, 1).ravel()
            assert not data.cfrc_ext[0].any(), "the world has no external force"
            way = self.goal - data.body("torso").xpos[:2]
            world = np.zeros(6)
            return np.concatenate([data.qpos[2:], data.qvel, world, forces, way])

        def reset(self, seed=None, options=None):
            super().reset(seed=seed)
            angle = self.np_random.uniform(0, np.pi)
            self.goal = 5 * np.array([np.cos(angle), np.sin(angle)])
            qpos = self.init_qpos.copy()
            qpos[15:17] = self.goal
            self.set_state(qpos, self.np_random.uniform(-0.005, 0.005, 20))
            return self.observation(), {}

        def step(self, action):
            self.data.ctrl[:] = action
            mujoco.mj_step(self.model, self.data, 5)
            if self.contact_forces:
                mujoco.mj_rnePostConstraint(self.model, self.data)
            obs = self.observation()
            costs = 0.005 * np.square(action, dtype=float).sum() + 0.0005 * np.square(obs[40:130]).sum()
            return obs, 1 - np.linalg.norm(obs[-2:]) / 5 - costs, False, False, {}

    if ANT_GOAL not in gymnasium.registry:
        gymnasium.register(ANT_GOAL, AntGoal, max_episode_steps=50, disable_env_checker=True)


def register_fm_irl_hand():
    """FM-IRL's block in the hand on Gymnasium-Robotics' classes: 15 degrees of full turns become one, ahead of which the goal lies by 60."""
    import gymnasium
    import numpy as np
    from gymnasium_robotics.envs.shadow_dexterous_hand.manipulate_block import MujocoHandBlockEnv

    class Narrow:
        """A generator whose uniform numbers lie in a twelfth of the range asked for, around `middle`."""

        def __init__(self, rng, middle):
            self.rng, self.middle, self.normal = rng, middle, rng.normal

        def uniform(self, low, high):
            return self.middle + self.rng.uniform(low, high) / 12.0

    class FmIrlHand(MujocoHandBlockEnv):
        def drawn_near(self, middle, draw):
            rng, self.np_random = self.np_random, Narrow(self.np_random, middle)
            drawn = draw()
            self.np_random = rng
            return drawn

        def _reset_sim(self):
            self.before = None
            return self.drawn_near(0.0, super()._reset_sim)

        def _sample_goal(self):
            return self.drawn_near(np.pi / 3.0, super()._sample_goal)

        def compute_terminated(self, achieved_goal, desired_goal, info):
            return bool(info["is_success"])

        def compute_reward(self, achieved_goal, goal, info):
            after = -super().compute_reward(achieved_goal, goal, info)
            before, self.before = self.before, after
            return 0.0 if before is None else before - after

    options = {"target_position": "ignore", "target_rotation": "z", "reward_type": "dense"}
    gymnasium.register(FM_IRL_HAND, FmIrlHand, max_episode_steps=50, kwargs=options, disable_env_checker=True)


def simulator(env):
    """The part of an environment that holds the simulation."""
    env = env.unwrapped
    parts = (getattr(env, part, None) for part in ("robot_env", "point_env", "ant_env"))
    return next((part for part in parts if part is not None), env)


def flat(env_id, obs):
    """The observation as one array."""
    import numpy as np

    if not isinstance(obs, dict):
        return obs
    if env_id.startswith(KITCHEN):
        return obs["observation"]
    if env_id == FM_IRL_HAND:
        return np.concatenate([obs["observation"], np.zeros(3), obs["desired_goal"][3:]])
    return np.concatenate([obs["observation"], obs["achieved_goal"], obs["desired_goal"]])


class MujocoReset:
    """Remembers the state that a reset gives to the simulator."""

    def __init__(self, env):
        self.sim = simulator(env)
        self.sizes = self.sim.model.nq, self.sim.model.nv
        set_state = self.sim.set_state

        def remember(qpos, qvel):
            self.state = qpos.copy(), qvel.copy()
            set_state(qpos, qvel)

        self.sim.set_state = remember


class FetchReset:
    """The same for the Fetch robot, which writes its state without a function for it."""

    def __init__(self, env):
        self.sim = env.unwrapped
        self.sizes = self.sim.model.nq, self.sim.model.nv

    @property
    def state(self):
        return self.sim.data.qpos.copy(), self.sim.data.qvel.copy()
class AdroitReset(MujocoReset):
    """The same, with the numbers of the model that a reset draws behind the positions."""

    def __init__(self, env):
        import numpy as np

        super().__init__(env)
        model, name = self.sim.model, env.spec.name
        place = lambda kind, thing: getattr(model, kind)(thing).pos
        self.drawn = {
            "Door": lambda: [place("body", "frame")],
            "Hammer": lambda: [place("body", "nail_board")[2:]],
            "Pen": lambda: [model.body("target").quat],
            "Relocate": lambda: [place("body", "Object")[:2], place("site", "target")],
        }[name.removeprefix("AdroitHand").removesuffix("Sparse")]
        self.sizes = model.nq + sum(map(len, self.drawn())), model.nv
        set_state = self.sim.set_state

        def remember(qpos, qvel):
            set_state(qpos, qvel)
            qpos, qvel = self.state
            self.state = np.concatenate([qpos, *self.drawn()]), qvel

        self.sim.set_state = remember


class HandReset:
    """Remembers where a reset puts the block, and begins resets with mj_resetData, as those of the other robots begin."""

    def __init__(self, env):
        import mujoco

        sim = env.unwrapped
        self.sizes = sim.model.nq, sim.model.nv
        reset_sim = sim._reset_sim

        def place(model, data, name, pose):
            data.joint(name).qpos[:] = pose
            self.state = data.qpos.copy(), data.qvel.copy()

        def reset_cleared():
            mujoco.mj_resetData(sim.model, sim.data)
            return reset_sim()

        sim._utils = types.SimpleNamespace(**vars(sim._utils) | {"set_joint_qpos": place})
        sim._reset_sim = reset_cleared


class PendulumReset:
    """The same for the pendulum, whose state is an array of two numbers."""

    sizes = 1, 1

    def __init__(self, env):
        self.sim = env.unwrapped

    @property
    def state(self):
        return self.sim.state[:1], self.sim.state[1:]


class MountainCarReset(PendulumReset):
    """The same for the mountain car, whose state is f32 from its first step on, and here from its reset on."""

    @property
    def state(self):
        import numpy as np

        self.sim.state = self.sim.state.astype(np.float32)
        return self.sim.state[:1], self.sim.state[1:]


def random_driver(env, rng):
    space = env.action_space
    return lambda: rng.uniform(space.low, space.high).astype("float32")


def hold_driver(env, rng):
    import numpy as np

    sim, space = env.unwrapped, env.action_space
    joints = sim.model.actuator_trnid[:, 0]
    positions, velocities = sim.model.jnt_qposadr[joints], sim.model.jnt_dofadr[joints]
    gear = sim.model.actuator_gear[:, 0]
    stiffness, damping = HOLD_GAINS[env.spec.name]

    def act():
        error = sim.init_qpos[positions] - sim.data.qpos[positions]
        torque = stiffness * error - damping * sim.data.qvel[velocities]
        noise = HOLD_NOISE * rng.uniform(-1.0, 1.0, len(gear))
        return np.clip(torque / gear + noise, space.low, space.high).astype("float32")

    return act


def balance_driver(env, rng):
    """Linear-quadratic control of the pendulum linearised upright, by central differences of one step."""
    import mujoco
    import numpy as np

    sim, space = env.unwrapped, env.action_space
    model, data = sim.model, mujoco.MjData(sim.model)
    size, step = 2 * model.nv, 1e-6

    def after(state, ctrl):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = state[: model.nq], state[model.nq :], ctrl
        mujoco.mj_step(model, data, sim.frame_skip)
        return np.concatenate([data.qpos, data.qvel])

    inputs = step * np.eye(size + model.nu)
    slopes = [(after(d[:size], d[size:]) - after(-d[:size], -d[size:])) / (2 * step) for d in inputs]
    a, b = np.transpose(slopes[:size]), np.transpose(slopes[size:])
    cost, effort = np.eye(size), np.eye(model.nu)
    value = cost
    for _ in range(2000):
        gain = np.linalg.solve(effort + b.T @ value @ b, b.T @ value @ a)
        value = cost + a.T @ value @ (a - b @ gain)

    def act():
        state = np.concatenate([sim.data.qpos, sim.data.qvel])
        noise = BALANCE_NOISE * rng.uniform(-1.0, 1.0, model.nu)
        return np.clip(noise - gain @ state, space.low, space.high).astype("float32")

    return act


def pump_driver(env, rng):
    sim, space = env.unwrapped, env.action_space

    def act():
        push = PUMP_FORCE if sim.state[1] >= 0 else -PUMP_FORCE
        noise = PUMP_NOISE * rng.uniform(-1.0, 1.0)
        return space.low.dtype.type(push + noise).reshape(1)

    return act


def moved_driver(env, rng):
    """Random actions in a kitchen whose things lie on the way from their first places to their goals, and move on."""
    import numpy as np
    from gymnasium_robotics.envs.franka_kitchen.kitchen_env import OBS_ELEMENT_GOALS, OBS_ELEMENT_INDICES

    robot = simulator(env)
    first, reset_model = robot.init_qpos.copy(), robot.reset_model

    def reset_moved():
        robot.init_qpos, robot.init_qvel = first.copy(), np.zeros(robot.model.nv)
        for task, places in OBS_ELEMENT_INDICES.items():
            way = OBS_ELEMENT_GOALS[task] - first[places]
            robot.init_qpos[places] += rng.uniform(0.3, 1.3) * way
            # velocities have the indices of positions but for the kettle's rotation, which stays
            robot.init_qvel[places[:3]] = rng.uniform(0.0, 4.0) * way[:3]
        return reset_model()

    robot.reset_model = reset_moved
    return random_driver(env, rng)


def near_driver(env, rng):
    """Random actions from a first place near the goal."""
    maze = env.unwrapped
    maze.generate_reset_pos = lambda: maze.goal.copy()
    return random_driver(env, rng)


def seek_driver(env, rng):
    """A ball that is pulled to the goal, cell after cell of the shortest way through the maze."""
    import numpy as np

    task = env.unwrapped
    maze, data = task.maze, task.data
    cell = lambda xy: tuple(int(i) for i in maze.cell_xy_to_rowcol(xy))
    free = {(i, j) for i, row in enumerate(maze.maze_map) for j, kind in enumerate(row) if kind != 1}

    def next_cells(goal):
        """The next cell on the way to the goal, for every cell."""
        ways, found = {goal: goal}, [goal]
        for i, j in found:
            for cell in free & {(i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)} - ways.keys():
                ways[cell] = (i, j)
                found.append(cell)
        return ways

    def act():
        here, there = cell(data.qpos), cell(task.goal)
        ways = next_cells(there)
        target = task.goal if here == there else maze.cell_rowcol_to_xy(ways.get(here, here))
        pull = 4.0 * (target - data.qpos) - 0.8 * data.qvel + rng.uniform(-0.2, 0.2, 2)
        # beyond the bounds at times: the environment clips
        return np.clip(pull, -1.5, 1.5).astype("float32")

    return act


def fetch_driver(env, rng, choose):
    """Moves the gripper to the target that `choose` names, with noise; actions are beyond the bounds at times."""
    import numpy as np

    def act():
        obs = env.unwrapped._get_obs()
        target, fingers = choose(obs["observation"], obs["desired_goal"])
        way = 8.0 * (target - obs["observation"][:3]) + rng.uniform(-0.2, 0.2, 3)
        return np.append(np.clip(way, -1.3, 1.3), fingers).astype("float32")

    return act


def reach_driver(env, rng):
    return fetch_driver(env, rng, lambda features, goal: (goal, rng.uniform(-1.0, 1.0)))


def push_driver(env, rng):
    """Goes behind the object, above the table, then down, and then to the goal."""
    import numpy as np

    def choose(features, goal):
        gripper, thing = features[:3], features[3:6]
        way = goal - thing
        ahead = way[:2] / max(np.linalg.norm(way[:2]), 1e-6)
        behind = np.append(thing[:2] - 0.07 * ahead, thing[2])
        offset = np.linalg.norm((gripper - behind)[:2])
        if offset > 0.03 and np.dot((thing - gripper)[:2], ahead) < 0.05:
            return behind + [0.0, 0.0, 0.1], 0.0
        if gripper[2] > thing[2] + 0.02 and offset > 0.01:
            return behind, 0.0
        return np.append(gripper[:2] + 0.08 * ahead, thing[2]), 0.0

    return fetch_driver(env, rng, choose)


def pick_driver(env, rng):
    """Goes above the object with open fingers, down, closes them, and carries it to the goal; the rest is noise."""
    import numpy as np

    def choose(features, goal):
        gripper, thing, fingers = features[:3], features[3:6], features[9:11]
        if np.linalg.norm((thing - gripper)[:2]) > 0.015:
            return thing + [0.0, 0.0, 0.08], 1.3
        if np.linalg.norm(thing - gripper) > 0.012:
            return thing, 1.0
        return (thing if fingers.sum() > 0.055 else goal), -1.0

    return fetch_driver(env, rng, choose)
def waves_driver(env, rng):
    """Every joint swings at its own pace, beyond the bounds at times: the environment clips."""
    import numpy as np

    joints = env.action_space.shape[0]
    height, pace, phase = (rng.uniform(low, high, joints) for low, high in ((0.3, 1.2), (0.02, 0.2), (0.0, 6.0)))
    time = iter(range(10**9))
    return lambda: (height * np.sin(pace * next(time) + phase)).astype("float32")


def placed_driver(env, rng):
    """Waves of an Adroit hand whose thing is at its goal or near it."""
    import mujoco
    import numpy as np

    sim = env.unwrapped
    model, scratch, set_state = sim.model, mujoco.MjData(sim.model), sim.set_state

    def cosine(qpos):
        scratch.qpos[:] = qpos
        mujoco.mj_kinematics(model, scratch)
        ways = [scratch.site(f"{what}_top").xpos - scratch.site(f"{what}_bottom").xpos for what in ("object", "target")]
        return ways[0] @ ways[1]

    def open_door(qpos):
        qpos[28] = rng.uniform(0.0, 1.57)

    def drive_nail(qpos):
        qpos[26], qpos[28] = rng.uniform(0.05, 0.095), rng.uniform(0.0, 0.1)

    def turn_pen(qpos):
        turns = [np.concatenate([qpos[:27], rng.uniform(-3.2, 3.2, 3)]) for _ in range(300)]
        qpos[:] = max(turns, key=cosine)

    def take_ball(qpos):
        way = model.site("target").pos - model.body("Object").pos
        qpos[30:33] = way + rng.uniform(-0.08, 0.08, 3)

    things = {"Door": open_door, "Hammer": drive_nail, "Pen": turn_pen, "Relocate": take_ball}
    move = things[env.spec.name.removeprefix("AdroitHand").removesuffix("Sparse")]

    def set_moved(qpos, qvel):
        qpos = qpos.copy()
        move(qpos)
        set_state(qpos, qvel)

    sim.set_state = set_moved
    return waves_driver(env, rng)


def turned_driver(env, rng):
    """Small waves of a hand whose block is at its goal or near it."""
    import numpy as np
    from gymnasium_robotics.utils import rotations

    sim = env.unwrapped

    def sample_goal():
        block, angle = sim.data.joint("object:joint").qpos, rng.uniform(0.0, 0.25)
        turn = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
        return np.concatenate([block[:3] + rng.uniform(-0.008, 0.008, 3), rotations.quat_mul(block[3:], turn)])

    sim._sample_goal = sample_goal
    waves = waves_driver(env, rng)
    return lambda: np.float32(0.25) * waves()


def write_trajectory(path, env_id, driver, steps, seed):
    import numpy as np

    env = make(env_id, driver)
    resets = {
        "Pendulum": PendulumReset,
        "MountainCar": MountainCarReset,
        "Fetch": FetchReset,
        "AdroitHand": AdroitReset,
        "HandManipulate": HandReset,
        "CustomHand": HandReset,
    }
    wanted = (reset for start, reset in resets.items() if env_id.startswith(start))
    reset = next(wanted, MujocoReset)(env)
    drivers = {
        "random": random_driver,
        "hold": hold_driver,
        "touching": random_driver,
        "balance": balance_driver,
        "pump": pump_driver,
        "moved": moved_driver,
        "lasting": moved_driver,
        "near": near_driver,
        "seek": seek_driver,
        "episodic": seek_driver,
        "reach": reach_driver,
        "push": push_driver,
        "pick": pick_driver,
        "waves": waves_driver,
        "placed": placed_driver,
        "turned": turned_driver,
    }
    act = drivers[driver.removeprefix("lasting_")](env, np.random.default_rng(seed))
    f64 = lambda numbers: np.asarray(numbers, dtype="<f8").tobytes()
    with open(path, "wb") as file:

        def start(**kwargs):
            obs = flat(env_id, env.reset(**kwargs)[0])
            if kwargs:
                sizes = *reset.sizes, env.action_space.shape[0], len(obs)
                file.write(b"ADVREF01" + struct.pack("<4I", *sizes))
            qpos, qvel = reset.state
            file.write(b"\0" + f64(qpos) + f64(qvel) + f64(obs))

        start(seed=seed)
        for _ in range(steps):
            action = act()
            obs, reward, terminated, truncated, info = env.step(action)
            achieved = info.get("success", info.get("is_success"))
            says = 0 if achieved is None else 2 + 4 * bool(achieved)
            flags = struct.pack("<2B", terminated + says, truncated)
            file.write(b"\1" + action.tobytes() + f64(flat(env_id, obs)) + f64(reward) + flags)
            if terminated or truncated:
                start()


def main():
    private_python.ensure(ENVIRONMENT.format(**PINNED), PINNED)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    parser.add_argument("--only", default="", help="only ids that start so")
    args = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "disable")
    os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "X86_V4 AVX512_ICL AVX512_SPR")
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
    args.out.mkdir(parents=True, exist_ok=True)
    os.chdir(args.out)  # MuJoCo writes MUJOCO_LOG.TXT into the working directory
    wanted = [trajectory for trajectory in TRAJECTORIES if trajectory[0].startswith(args.only)]
    for env_id, driver, steps in wanted:
        for seed in range(SEEDS):
            path = f"{env_id.replace('/', '.')}--{driver}--{seed}.bin"
            write_trajectory(path, env_id, driver, steps, seed)
    print(f"wrote {len(wanted) * SEEDS} trajectories to {args.out}")


if __name__ == "__main__":
    main()
