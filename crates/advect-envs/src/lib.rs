//! Environments for reinforcement learning: embedded tasks and MuJoCo, vectorised.
