//! Reinforcement learning core: replay, critics, metrics, checkpoints, the training loop.
