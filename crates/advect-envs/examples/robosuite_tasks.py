"""Robomimic's tasks in robosuite, by the bridge: gym:robosuite_tasks:Square-v0 and the others of TASKS.

The observation is that of robomimic's low-dimensional policies. An episode ends with reward 1 when the task is done, so no state
after success is seen, and the return is the success.
"""

import gymnasium
import numpy as np
import robosuite
from gymnasium.spaces import Box

# name: robosuite's name, arms, time limit in steps
TASKS = {
    "Lift": ("Lift", 1, 400),
    "Can": ("PickPlaceCan", 1, 400),
    "Square": ("NutAssemblySquare", 1, 400),
    "Transport": ("TwoArmTransport", 2, 800),
}


def observation_keys(arms):
    """What is observed; the object's key is `object` in robomimic's files."""
    arm = ["eef_pos", "eef_quat", "gripper_qpos"]
    return ["object-state"] + [f"robot{i}_{key}" for i in range(arms) for key in arm]


class Robosuite(gymnasium.Env):
    def __init__(self, name, arms):
        controller = robosuite.load_controller_config(default_controller="OSC_POSE")
        self.keys = observation_keys(arms)
        self.simulator = robosuite.make(
            name,
            robots=["Panda"] * arms,
            controller_configs=controller,
            control_freq=20,
            ignore_done=True,
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
        )
        low, high = self.simulator.action_spec
        self.action_space = Box(low.astype(np.float32), high.astype(np.float32))
        width = self.observed(self.simulator.reset()).size
        self.observation_space = Box(-np.inf, np.inf, (width,), np.float64)

    def observed(self, observations):
        return np.concatenate([observations[key] for key in self.keys])

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            np.random.seed(seed)  # robosuite places objects by the global generator
        return self.observed(self.simulator.reset()), {}

    def step(self, action):
        observations, _, _, _ = self.simulator.step(action)
        success = bool(self.simulator._check_success())
        return self.observed(observations), float(success), success, False, {}


for task, (name, arms, limit) in TASKS.items():
    gymnasium.register(
        f"{task}-v0",
        entry_point=Robosuite,
        kwargs={"name": name, "arms": arms},
        max_episode_steps=limit,
    )
