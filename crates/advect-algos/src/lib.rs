//! Flow-policy reinforcement learning algorithms: FLAME and the baselines it is compared with.
