//! Flow-policy reinforcement learning: the facade library and the command.
