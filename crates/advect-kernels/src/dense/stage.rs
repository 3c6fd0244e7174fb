//! A network as a list of stages over its linear layers.

/// One step of a forward pass; it takes the current value to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A linear layer.
    Linear(usize),
    /// LayerNorm where the network has it, then the activation.
    Activate(usize),
    /// A block begins: the value is also kept as the skip connection.
    Enter,
    /// A block ends: the skip connection is added.
    Add,
}
