//! What a case computes.

use std::collections::BTreeMap;

use advect_kernels::ParamLayout;
use candle_core::{Device, Tensor};

use crate::error::GoldenError;

type Result<T> = std::result::Result<T, GoldenError>;

/// The computed outputs by their names without the prefix `out.`; names that the file does not
/// ask for are ignored.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    tensors: BTreeMap<String, Tensor>,
}

impl Outputs {
    /// No output yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an output; a tensor of rank 0 counts as shape `[1]`, as the files store scalars.
    #[must_use]
    pub fn with(mut self, name: &str, tensor: Tensor) -> Self {
        self.set(name, tensor);
        self
    }

    /// Adds an output from its row-major values.
    ///
    /// # Errors
    /// If the number of values is not that of the shape.
    pub fn with_values(self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<Self> {
        Ok(self.with(name, Tensor::from_vec(values, shape, &Device::Cpu)?))
    }

    /// Adds an output of one value.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn with_scalar(self, name: &str, value: f64) -> Result<Self> {
        Ok(self.with(name, Tensor::new(&[value], &Device::Cpu)?))
    }

    /// Adds an output in place.
    pub fn set(&mut self, name: &str, tensor: Tensor) {
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// The output of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
}

/// Network and layout entry.
type Key = (String, String);

/// Gradients by the names that the tensors have in the file.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    tensors: BTreeMap<Key, Vec<f32>>,
}

impl Gradients {
    /// No gradient yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the gradient `[P]` of the network `net`.
    ///
    /// # Errors
    /// If the gradient has another length than the layout.
    pub fn with(self, net: &str, layout: &ParamLayout, gradient: &Tensor) -> Result<Self> {
        self.with_members(&[net], layout, &gradient.flatten_all()?.unsqueeze(0)?)
    }

    /// Adds the gradient `[E, P]` of an ensemble, one network per member.
    ///
    /// # Errors
    /// If the gradient has another shape than layout and number of names say.
    pub fn with_members(
        mut self,
        nets: &[&str],
        layout: &ParamLayout,
        gradient: &Tensor,
    ) -> Result<Self> {
        let expected = [nets.len(), layout.len()];
        if gradient.dims() != expected {
            let name = format!("gradient of {}", nets.join(", "));
            let (found, expected) = (gradient.dims().to_vec(), expected.to_vec());
            return Err(GoldenError::Shape {
                name,
                found,
                expected,
            });
        }
        for (net, values) in nets.iter().zip(gradient.to_vec2::<f32>()?) {
            for entry in layout.entries() {
                let key = (net.to_string(), entry.name.clone());
                self.tensors.insert(key, values[entry.range()].to_vec());
            }
        }
        Ok(self)
    }

    /// The gradients of the tensors `order`, one after the other.
    ///
    /// # Errors
    /// If one of them is absent.
    pub fn flat(&self, order: &[String]) -> Result<Tensor> {
        let mut flat = Vec::new();
        for name in order {
            flat.extend_from_slice(self.find(name)?);
        }
        let len = flat.len();
        Ok(Tensor::from_vec(flat, len, &Device::Cpu)?)
    }

    /// `net.rest` is the layout entry `rest` or `any.rest` of `net`, as in `Case::params`.
    fn find(&self, name: &str) -> Result<&[f32]> {
        let of_net = |net: &str| {
            name.strip_prefix(net)
                .and_then(|rest| rest.strip_prefix('.'))
        };
        let prefixed = |entry: &str, rest: &str| {
            entry
                .split_once('.')
                .is_some_and(|(_, own_rest)| own_rest == rest)
        };
        let exact = |(net, entry): &&Key| of_net(net) == Some(entry);
        let renamed = |(net, entry): &&Key| of_net(net).is_some_and(|rest| prefixed(entry, rest));
        let mut keys = self.tensors.keys();
        let key = keys.clone().find(exact).or_else(|| keys.find(renamed));
        key.map(|key| self.tensors[key].as_slice())
            .ok_or_else(|| GoldenError::NoGradient(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(prefix: &str) -> ParamLayout {
        let mut layout = ParamLayout::new();
        layout.push(format!("{prefix}0.weight"), &[1, 2]);
        layout.push(format!("{prefix}0.bias"), &[1]);
        layout
    }

    #[test]
    fn gradients_follow_the_order_asked_for() -> Result<()> {
        let gradient = Tensor::new(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
        for prefix in ["", "q.", "q1."] {
            let gradients =
                Gradients::new().with_members(&["q1", "q2"], &layout(prefix), &gradient)?;
            let order = ["q2.0.bias".to_owned(), "q1.0.weight".to_owned()];
            assert_eq!(gradients.flat(&order)?.to_vec1::<f32>()?, [6.0, 1.0, 2.0]);
        }
        Ok(())
    }

    #[test]
    fn a_gradient_that_is_not_there_is_named() -> Result<()> {
        let gradient = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu)?;
        let gradients = Gradients::new().with("q1", &layout(""), &gradient)?;
        let error = gradients.flat(&["q1.1.bias".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("q1.1.bias"), "{error}");
        Ok(())
    }
}
