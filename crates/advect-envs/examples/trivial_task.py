"""A task of Gymnasium that does next to nothing, to measure what the bridge itself costs."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Trivial(gymnasium.Env):
    observation_space = Box(-1.0, 1.0, (4,))
    action_space = Box(-1.0, 1.0, (1,))
    observation = np.zeros(4, np.float32)

    def reset(self, *, seed=None, options=None):
        return self.observation, {}

    def step(self, action):
        return self.observation, 0.0, False, False, {}


gymnasium.register("Trivial-v0", entry_point=Trivial, max_episode_steps=1000)
