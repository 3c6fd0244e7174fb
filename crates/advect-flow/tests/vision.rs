//! The image encoder against a convolution by its definition, finite differences, and what it must and must not depend on.

use std::error::Error;
use std::time::Instant;

use advect_flow::{ImageNet, ImageNetConfig};
use advect_kernels::{Params, init};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

type TestResult = std::result::Result<(), Box<dyn Error>>;

const TINY: ImageNetConfig = ImageNetConfig {
    channels: 3,
    height: 20,
    width: 24,
    extra: 2,
    embed: 8,
    layers: 1,
    heads: 2,
    features: 5,
};

fn params(net: &ImageNet, seed: u64) -> Result<Params> {
    let mut stream = Stream::new(seed, "parameters");
    let values = init::draw(net.layout(), init::Init::FanInUniform, &mut stream);
    Params::from_vec(net.layout().clone(), None, values, &Device::Cpu)
}

/// Random bytes `[rows, len]`.
fn images(rows: usize, config: &ImageNetConfig) -> Result<Tensor> {
    let len = config.channels * config.height * config.width;
    let mut bytes = vec![0; rows * len];
    Stream::new(1, "images").fill_indices(256, &mut bytes);
    Tensor::from_vec(bytes, (rows, len), &Device::Cpu)?.to_dtype(DType::U8)
}

fn extra(rows: usize) -> Result<Tensor> {
    Tensor::arange(0f32, 2.0 * rows as f32, &Device::Cpu)?.reshape((rows, 2))
}

fn worst(a: &Tensor, b: &Tensor) -> Result<f32> {
    (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar()
}

#[test]
fn grids_are_those_of_the_page() {
    let grid = |side| {
        let config = ImageNetConfig {
            height: side,
            width: side,
            ..TINY
        };
        config.grid()
    };
    assert_eq!(grid(96), Some([11, 11]));
    assert_eq!(grid(84), Some([9, 9]));
    assert_eq!(grid(16), Some([1, 1]));
    assert_eq!(grid(15), None);
}

/// The layers of the stem are candle's own convolutions with the weights in another order: channel-first for the first one.
#[test]
fn without_a_transformer_the_features_are_those_of_plain_convolutions() -> TestResult {
    let config = ImageNetConfig { layers: 0, ..TINY };
    let net = ImageNet::new(config, "image")?;
    let (params, images, extra) = (params(&net, 2)?, images(3, &config)?, extra(3)?);
    let part = |name: &str| -> Result<Tensor> {
        let missing = || candle_core::Error::Msg(format!("no {name}"));
        let entry = net
            .layout()
            .find(&format!("image.{name}"))
            .ok_or_else(missing)?;
        params.slice(entry.range())?.reshape(entry.shape.clone())
    };
    let pixels = images.to_dtype(DType::F32)?.reshape((3, 3, 20, 24))?;
    let pixels = pixels.affine(1.0 / 255.0, -0.5)?;
    let first = part("conv0.0.weight")?.reshape((8, 3, 8, 8))?;
    let bias = |name: &str| part(name)?.reshape((1, 8, 1, 1));
    let h = pixels.conv2d(&first, 0, 4, 1, 1)?;
    let h = h.broadcast_add(&bias("conv0.0.bias")?)?.relu()?;
    let second = part("conv1.0.weight")?.reshape((8, 3, 3, 8))?;
    let second = second.permute((0, 3, 1, 2))?.contiguous()?;
    let h = h.conv2d(&second, 0, 2, 1, 1)?;
    let h = h.broadcast_add(&bias("conv1.0.bias")?)?.flatten_from(2)?;
    let h = h.transpose(1, 2)?.broadcast_add(&part("position")?)?;
    let h = normed(&h, &part("norm.weight")?, &part("norm.bias")?)?;
    let repeated = extra.unsqueeze(1)?.broadcast_as((3, 8, 2))?;
    let joined = Tensor::cat(&[h.transpose(1, 2)?, repeated], 2)?;
    let projected = joined.broadcast_matmul(&part("spatial.0.weight")?.t()?)?;
    let projected = projected.broadcast_add(&part("spatial.0.bias")?)?;
    let found = normed(
        &projected,
        &part("spatial.norm.weight")?,
        &part("spatial.norm.bias")?,
    )?;
    let expected = found.relu()?.broadcast_mul(&part("spatial.mix")?)?.sum(1)?;
    let features = net.forward(params.tensor(), &images, &extra)?;
    assert_eq!(features.dims(), [3, 5]);
    assert!(worst(&features, &expected)? < 1e-5);
    Ok(())
}

fn normed(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(2)?)?;
    let variance = centred.sqr()?.mean_keepdim(2)?;
    let unit = centred.broadcast_div(&(variance + 1e-5)?.sqrt()?)?;
    unit.broadcast_mul(weight)?.broadcast_add(bias)
}

/// The slope along one random direction of each parameter tensor, which one wrong gradient would miss.
#[test]
fn gradients_are_those_of_finite_differences() -> TestResult {
    let net = ImageNet::new(TINY, "image")?;
    let (params, images, extra) = (params(&net, 3)?, images(4, &TINY)?, extra(4)?);
    let mut weights = vec![0.0; 4 * TINY.features];
    Stream::new(4, "weights").fill_normal(&mut weights);
    let weights = Tensor::from_vec(weights, (4, TINY.features), &Device::Cpu)?;
    let value = |params: &Tensor| -> Result<Tensor> {
        (net.forward(params, &images, &extra)? * &weights)?.sum_all()
    };
    let gradients = value(params.tensor())?.backward()?;
    let gradient = gradients
        .get(params.var())
        .ok_or("no gradient")?
        .to_vec1::<f32>()?;
    let base = params.to_vec()?;
    for entry in net.layout().entries() {
        let mut way = vec![0.0; entry.len()];
        Stream::new(5, &entry.name).fill_normal(&mut way);
        let at = |step: f32| -> std::result::Result<f64, Box<dyn Error>> {
            let mut moved = base.clone();
            let own = moved[entry.range()].iter_mut().zip(&way);
            own.for_each(|(p, w)| *p += step * w);
            let moved = Tensor::from_vec(moved, base.len(), &Device::Cpu)?;
            Ok(f64::from(value(&moved)?.to_scalar::<f32>()?))
        };
        let h = 2e-4;
        let slope = (at(h)? - at(-h)?) / (2.0 * f64::from(h));
        let found = gradient[entry.range()].iter().zip(&way);
        let found: f64 = found.map(|(g, w)| f64::from(g * w)).sum();
        let size = slope.abs().max(0.05);
        assert!(
            (found - slope).abs() < 0.03 * size,
            "{}: {found} for {slope}",
            entry.name
        );
    }
    Ok(())
}

#[test]
fn features_follow_every_pixel_and_only_their_own_image() -> TestResult {
    let net = ImageNet::new(TINY, "image")?;
    let (params, images, extra) = (params(&net, 6)?, images(2, &TINY)?, extra(2)?);
    let before = net.forward(params.tensor(), &images, &extra)?;
    // the last pixel of the last window of the first image (its fourth row of windows holds no token), in its last channel
    let mut bytes = images.to_vec2::<u8>()?;
    let pixel = (2 * TINY.height + 15) * TINY.width + 23;
    bytes[0][pixel] ^= 0xFF;
    let changed = Tensor::new(bytes, &Device::Cpu)?;
    let after = net.forward(params.tensor(), &changed, &extra)?;
    assert!(worst(&before.narrow(0, 0, 1)?, &after.narrow(0, 0, 1)?)? > 1e-5);
    assert_eq!(
        worst(&before.narrow(0, 1, 1)?, &after.narrow(0, 1, 1)?)?,
        0.0
    );
    // numbers of 0 to 255 are taken as bytes are, and a row by itself has the features that it has among others
    let numbers = images.to_dtype(DType::F32)?;
    assert_eq!(
        worst(&before, &net.forward(params.tensor(), &numbers, &extra)?)?,
        0.0
    );
    let alone = net.forward(
        params.tensor(),
        &images.narrow(0, 1, 1)?,
        &extra.narrow(0, 1, 1)?,
    )?;
    assert!(worst(&before.narrow(0, 1, 1)?, &alone)? < 1e-6);
    Ok(())
}

#[test]
fn what_does_not_fit_is_named() -> TestResult {
    let odd = ImageNet::new(ImageNetConfig { heads: 3, ..TINY }, "image");
    assert!(
        odd.err()
            .ok_or("accepted")?
            .to_string()
            .contains("3 heads share 8")
    );
    let small = ImageNet::new(ImageNetConfig { height: 15, ..TINY }, "image");
    assert!(
        small
            .err()
            .ok_or("accepted")?
            .to_string()
            .contains("15x24 hold no token")
    );
    let net = ImageNet::new(TINY, "image")?;
    let wide = Tensor::zeros((1, 7), DType::U8, &Device::Cpu)?;
    let error = net
        .forward(params(&net, 0)?.tensor(), &wide, &extra(1)?)
        .err();
    assert!(error.ok_or("accepted")?.to_string().contains("images"));
    Ok(())
}

/// Milliseconds of a forward and backward pass on 128 images of 84x84, beside candle's convolution for the first layer.
#[test]
#[ignore = "a measurement"]
fn time_of_a_batch() -> TestResult {
    for (embed, features, side) in [(128, 128, 84), (32, 64, 84), (32, 64, 48)] {
        let config = ImageNetConfig {
            height: side,
            width: side,
            extra: 0,
            embed,
            heads: 4,
            features,
            ..TINY
        };
        let net = ImageNet::new(config, "image")?;
        let (params, images) = (params(&net, 0)?, images(128, &config)?);
        let none = Tensor::zeros((128, 0), DType::F32, &Device::Cpu)?;
        for _ in 0..3 {
            let start = Instant::now();
            let features = net.forward(params.tensor(), &images, &none)?;
            let forward = start.elapsed();
            features.sqr()?.sum_all()?.backward()?;
            println!(
                "{embed} at {side}: {forward:?}, with gradient {:?}",
                start.elapsed()
            );
        }
        let weight = Tensor::full(0.1f32, (embed, 3, 8, 8), &Device::Cpu)?;
        let weight = candle_core::Var::from_tensor(&weight)?;
        let pixels = images.to_dtype(DType::F32)?.reshape((128, 3, side, side))?;
        let start = Instant::now();
        let h = pixels.conv2d(&weight, 0, 4, 1, 1)?;
        let forward = start.elapsed();
        h.sqr()?.sum_all()?.backward()?;
        println!(
            "candle's first convolution: {forward:?}, with gradient {:?}",
            start.elapsed()
        );
    }
    Ok(())
}
