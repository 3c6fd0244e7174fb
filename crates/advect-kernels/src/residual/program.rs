//! A residual network as a list of stages over its linear layers.

use super::{BlockForm, ResidualConfig};
use crate::dense::{Linear, Stage};
use crate::params::ParamLayout;

/// What does the stages of a pass on the rows of a block; a value is where they lie.
pub(super) trait Stages {
    /// Where rows lie: a value, or a value with its tangents.
    type Value: Copy;

    /// Where the result of a stage goes.
    fn target(&self, stage: usize) -> Self::Value;
    /// The first linear layer, on the input.
    fn first_layer(&self, to: Self::Value);
    /// Another linear layer.
    fn linear(&self, layer: usize, value: Self::Value, to: Self::Value);
    /// LayerNorm where there is one, then the activation.
    fn activate(&self, index: usize, value: Self::Value, to: Self::Value);
    /// The sum with the skip connection.
    fn add(&self, skip: Self::Value, value: Self::Value, to: Self::Value);
}

/// Stages, layers and the layout of the parameters, names without prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Program {
    pub stages: Vec<Stage>,
    pub linears: Vec<Linear>,
    /// First index of the gain of every LayerNorm; its shift follows.
    pub norms: Vec<usize>,
    pub layout: ParamLayout,
    activations: usize,
}

impl Program {
    /// Does all stages in their order.
    pub fn run<S: Stages>(&self, block: &S, start: S::Value) {
        let (mut value, mut skip) = (start, start);
        for (at, stage) in self.stages.iter().enumerate() {
            let to = block.target(at);
            match *stage {
                Stage::Enter => {
                    skip = value;
                    continue;
                }
                Stage::Linear(0) => block.first_layer(to),
                Stage::Linear(layer) => block.linear(layer, value, to),
                Stage::Activate(index) => block.activate(index, value, to),
                Stage::Add => block.add(skip, value, to),
            }
            value = to;
        }
    }

    pub fn new(config: &ResidualConfig) -> Self {
        let mut program = Self {
            stages: Vec::new(),
            linears: Vec::new(),
            norms: Vec::new(),
            layout: ParamLayout::new(),
            activations: 0,
        };
        program.build(config);
        program
    }

    fn build(&mut self, config: &ResidualConfig) {
        let hidden = config.hidden;
        self.linear("in", config.inputs, hidden);
        if let BlockForm::PostActivation { .. } = config.form {
            self.activate("in_ln", config);
        }
        for block in 0..config.n_blocks {
            self.stages.push(Stage::Enter);
            match config.form {
                BlockForm::PreActivation { .. } => {
                    self.activate(&format!("block{block}.ln1"), config);
                    self.linear(&format!("block{block}.fc1"), hidden, hidden);
                    self.activate(&format!("block{block}.ln2"), config);
                    self.linear(&format!("block{block}.fc2"), hidden, hidden);
                }
                BlockForm::PostActivation { .. } => {
                    self.linear(&format!("block{block}.fc"), hidden, hidden);
                    self.activate(&format!("block{block}.ln"), config);
                }
            }
            self.stages.push(Stage::Add);
        }
        self.linear("out", hidden, config.outputs);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        let weight = self
            .layout
            .push(format!("{name}.weight"), &[outputs, inputs]);
        self.layout.push(format!("{name}.bias"), &[outputs]);
        self.stages.push(Stage::Linear(self.linears.len()));
        self.linears.push(Linear {
            inputs,
            outputs,
            offset: weight.start,
        });
    }

    fn activate(&mut self, norm: &str, config: &ResidualConfig) {
        if config.form.ln_eps().is_some() {
            let weight = self.layout.push(format!("{norm}.weight"), &[config.hidden]);
            self.layout.push(format!("{norm}.bias"), &[config.hidden]);
            self.norms.push(weight.start);
        }
        self.stages.push(Stage::Activate(self.activations));
        self.activations += 1;
    }

    /// Number of activation stages.
    pub fn activations(&self) -> usize {
        self.activations
    }

    /// The linear layer that reads the output of stage `at`.
    pub fn reader(&self, at: usize) -> Option<usize> {
        let mut later = self.stages[at + 1..].iter();
        match later.find(|stage| **stage != Stage::Enter) {
            Some(Stage::Linear(layer)) => Some(*layer),
            _ => None,
        }
    }

    /// The work slot of the output of stage `at`: 0 outside of blocks, 1 and 2 in turn inside, so that the skip
    /// connection in slot 0 lives to the block's end.
    pub fn slot(&self, at: usize) -> usize {
        let bounds = |stage: &Stage| matches!(stage, Stage::Enter | Stage::Add);
        match self.stages[..=at].iter().rposition(bounds) {
            Some(bound) if self.stages[bound] == Stage::Enter => 1 + (at - bound) % 2,
            _ => 0,
        }
    }
}
