//! One reference file: inputs, expected outputs, configuration and tolerances.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use advect_kernels::{Activation, Mlp, ParamLayout, Params};
use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::GoldenError;
use crate::outputs::Gradients;

const FORMAT: &str = "advect-golden-1";
const OUTPUT_PREFIX: &str = "out.";

type Result<T> = std::result::Result<T, GoldenError>;

/// A tensor as it lies in the file: F32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Shape.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

/// An expected output and how far a result may be from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The stored result.
    pub stored: Stored,
    /// Largest allowed relative L2 error.
    pub tolerance: f64,
}

/// One instance of a reference case, checked for form.
#[derive(Debug, Clone)]
pub struct Case {
    device: Device,
    name: String,
    config: serde_json::Map<String, Value>,
    inputs: BTreeMap<String, Stored>,
    expected: BTreeMap<String, Expected>,
}

impl Case {
    /// Reads and checks a file, for a computation on `device`.
    ///
    /// # Errors
    /// If the file cannot be read or does not follow the format.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let case = Self::parse(&std::fs::read(path).map_err(GoldenError::Unreadable)?)?;
        let device = device.clone();
        Ok(Self { device, ..case })
    }

    /// Where inputs and parameters lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Reads and checks the bytes of a file, for a computation on the CPU.
    ///
    /// # Errors
    /// If they do not follow the format.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(GoldenError::malformed)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(GoldenError::malformed)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let format = meta(&metadata, "format")?;
        if format != FORMAT {
            return Err(GoldenError::malformed(format!(
                "format `{format}` is not `{FORMAT}`"
            )));
        }
        let tolerance = meta_object(&metadata, "tolerance")?;
        let (inputs, expected) = split_tensors(&file, &tolerance)?;
        let name = meta(&metadata, "case")?.to_owned();
        Ok(Self {
            device: Device::Cpu,
            name,
            config: meta_object(&metadata, "config")?,
            inputs,
            expected,
        })
    }

    /// The case's name, for example `mlp.forward`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The expected outputs by their names without the prefix `out.`.
    pub fn expected(&self) -> &BTreeMap<String, Expected> {
        &self.expected
    }

    /// Whether the file asks for that output (name without the prefix `out.`).
    pub fn wants(&self, output: &str) -> bool {
        self.expected.contains_key(output)
    }

    fn stored(&self, name: &str) -> Result<&Stored> {
        self.inputs
            .get(name)
            .ok_or_else(|| GoldenError::MissingInput(name.to_owned()))
    }

    /// An input tensor, f32 on the case's device.
    ///
    /// # Errors
    /// If the file has no such input.
    pub fn input(&self, name: &str) -> Result<Tensor> {
        let stored = self.stored(name)?;
        Ok(Tensor::from_slice(
            &stored.values,
            stored.shape.as_slice(),
            &self.device,
        )?)
    }

    /// The values of an input, row-major.
    ///
    /// # Errors
    /// If the file has no such input.
    pub fn values(&self, name: &str) -> Result<&[f32]> {
        Ok(&self.stored(name)?.values)
    }

    /// The shape of an input.
    ///
    /// # Errors
    /// If the file has no such input.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.stored(name)?.shape)
    }

    /// An input of one value.
    ///
    /// # Errors
    /// If the file has no such input or it holds another number of values.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        match self.stored(name)? {
            Stored { values, .. } if values.len() == 1 => Ok(f64::from(values[0])),
            stored => Err(shape(name, &stored.shape, &[1])),
        }
    }

    /// A configuration value. `Option<T>` also takes an absent key or null.
    ///
    /// # Errors
    /// If the key is absent or its value has another type.
    pub fn config<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let value = self.config.get(key).cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|e| GoldenError::Config {
            key: key.to_owned(),
            problem: e.to_string(),
        })
    }

    /// The activation that the configuration names under `activation`.
    ///
    /// # Errors
    /// If the key is absent or names no activation.
    pub fn activation(&self) -> Result<Activation> {
        self.activation_at("activation")
    }

    /// The activation that the configuration names under `key`.
    ///
    /// # Errors
    /// If the key is absent or names no activation.
    pub fn activation_at(&self, key: &str) -> Result<Activation> {
        let name: String = self.config(key)?;
        match name.as_str() {
            "relu" => Ok(Activation::Relu),
            "tanh" => Ok(Activation::Tanh),
            "gelu" => Ok(Activation::Gelu),
            "silu" => Ok(Activation::Silu),
            "mish" => Ok(Activation::Mish),
            _ => Err(GoldenError::Config {
                key: key.into(),
                problem: format!("`{name}` is none of relu, tanh, gelu, silu, mish"),
            }),
        }
    }

    /// Layer widths of the MLP `net`, read from `net.0.weight`, `net.1.weight`, ...
    ///
    /// # Errors
    /// If there is no `net.0.weight` or a weight is not a matrix.
    pub fn mlp_sizes(&self, net: &str) -> Result<Vec<usize>> {
        let mut sizes = Vec::new();
        for layer in 0.. {
            let name = format!("{net}.{layer}.weight");
            let Some(weight) = self.inputs.get(&name) else {
                break;
            };
            let &[out, input] = weight.shape.as_slice() else {
                return Err(shape(&name, &weight.shape, &[0, 0]));
            };
            if layer == 0 {
                sizes.push(input);
            }
            sizes.push(out);
        }
        if sizes.is_empty() {
            return Err(GoldenError::MissingInput(format!("{net}.0.weight")));
        }
        Ok(sizes)
    }

    /// The MLP `net` with the widths of its stored weights.
    ///
    /// # Errors
    /// As [`Case::mlp_sizes`].
    pub fn mlp(&self, net: &str, activation: Activation) -> Result<Mlp> {
        Ok(Mlp::new(&self.mlp_sizes(net)?, activation)?)
    }

    /// The parameters of the stored network `net` in the order of `layout`.
    ///
    /// A layout entry `rest` or `any.rest` is the tensor `net.rest`.
    ///
    /// # Errors
    /// If a tensor of the layout is absent or has another shape.
    pub fn params(&self, net: &str, layout: &ParamLayout) -> Result<Params> {
        let values = self.flat(net, layout)?;
        Ok(Params::from_vec(
            layout.clone(),
            None,
            values,
            &self.device,
        )?)
    }

    /// The parameters of several stored networks as one ensemble `[E, P]`.
    ///
    /// # Errors
    /// As [`Case::params`].
    pub fn ensemble(&self, nets: &[&str], layout: &ParamLayout) -> Result<Params> {
        let members: Vec<_> = nets
            .iter()
            .map(|net| self.flat(net, layout))
            .collect::<Result<_>>()?;
        Ok(Params::from_vec(
            layout.clone(),
            Some(nets.len()),
            members.concat(),
            &self.device,
        )?)
    }

    fn flat(&self, net: &str, layout: &ParamLayout) -> Result<Vec<f32>> {
        let mut flat = Vec::with_capacity(layout.len());
        for entry in layout.entries() {
            let name = self.tensor_name(net, &entry.name);
            let stored = self.stored(&name)?;
            if stored.shape != entry.shape {
                return Err(shape(&name, &stored.shape, &entry.shape));
            }
            flat.extend_from_slice(&stored.values);
        }
        Ok(flat)
    }

    /// The stored tensor that a layout entry of network `net` stands for.
    pub(crate) fn tensor_name(&self, net: &str, entry: &str) -> String {
        let prefixed = format!("{net}.{entry}");
        match entry.split_once('.') {
            Some((_, rest)) if !self.inputs.contains_key(&prefixed) => format!("{net}.{rest}"),
            _ => prefixed,
        }
    }

    /// The gradients in `grad_order`, flat.
    ///
    /// # Errors
    /// If the configuration has no `grad_order` or it names a tensor without gradient.
    pub fn flat_gradient(&self, gradients: &Gradients) -> Result<Tensor> {
        gradients.flat(&self.config::<Vec<String>>("grad_order")?)
    }
}

fn shape(name: &str, found: &[usize], expected: &[usize]) -> GoldenError {
    GoldenError::Shape {
        name: name.into(),
        found: found.to_vec(),
        expected: expected.to_vec(),
    }
}

fn meta<'a>(metadata: &'a HashMap<String, String>, key: &str) -> Result<&'a str> {
    let value = metadata.get(key).map(String::as_str);
    value.ok_or_else(|| GoldenError::malformed(format!("no metadata `{key}`")))
}

fn meta_object(
    metadata: &HashMap<String, String>,
    key: &str,
) -> Result<serde_json::Map<String, Value>> {
    serde_json::from_str(meta(metadata, key)?)
        .map_err(|e| GoldenError::malformed(format!("metadata `{key}`: {e}")))
}

type Split = (BTreeMap<String, Stored>, BTreeMap<String, Expected>);

fn split_tensors(file: &SafeTensors, tolerance: &serde_json::Map<String, Value>) -> Result<Split> {
    let (mut inputs, mut expected) = Split::default();
    for (name, view) in file.iter() {
        let stored = stored(name, &view)?;
        match name.strip_prefix(OUTPUT_PREFIX) {
            None => {
                inputs.insert(name.to_owned(), stored);
            }
            Some(output) => {
                let tolerance = output_tolerance(name, &stored, tolerance)?;
                expected.insert(output.to_owned(), Expected { stored, tolerance });
            }
        }
    }
    if expected.is_empty() {
        return Err(GoldenError::malformed("the file holds no output"));
    }
    Ok((inputs, expected))
}

fn stored(name: &str, view: &TensorView) -> Result<Stored> {
    if view.dtype() != Dtype::F32 {
        let problem = format!("tensor `{name}` is {:?}, not F32", view.dtype());
        return Err(GoldenError::malformed(problem));
    }
    let words = view.data().as_chunks::<4>().0;
    let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    Ok(Stored {
        shape: view.shape().to_vec(),
        values,
    })
}

fn output_tolerance(
    name: &str,
    stored: &Stored,
    tolerance: &serde_json::Map<String, Value>,
) -> Result<f64> {
    if stored.values.iter().any(|value| !value.is_finite()) {
        return Err(GoldenError::malformed(format!(
            "expected `{name}` is not finite"
        )));
    }
    let tolerance = tolerance.get(name).and_then(Value::as_f64);
    tolerance
        .filter(|tolerance| *tolerance >= 0.0)
        .ok_or_else(|| GoldenError::malformed(format!("no tolerance for `{name}`")))
}
