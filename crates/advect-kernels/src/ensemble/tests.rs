//! Reductions beside candle's composed ones.

use candle_core::{Device, Var};

use super::*;

fn x() -> Result<Tensor> {
    let rows = [
        [1f32, -2.0, 0.5, 3.0],
        [0.5, -1.0, 0.5, 4.0],
        [2.0, -3.0, 7.0, 1.0],
    ];
    Tensor::new(&rows, &Device::Cpu)
}

fn gradient(loss: &Tensor, x: &Var) -> Result<Vec<f32>> {
    let missing = || candle_core::Error::Msg("no gradient".into());
    let gradients = loss.backward()?;
    gradients
        .get(x)
        .ok_or_else(missing)?
        .flatten_all()?
        .to_vec1()
}

#[test]
fn the_minimum_and_its_gradient_are_the_composed_ones() -> Result<()> {
    let weight = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu)?;
    let x = Var::from_tensor(&x()?)?;
    let found = minimum(&x)?;
    assert_eq!(
        found.to_vec1::<f32>()?,
        x.as_tensor().min(0)?.to_vec1::<f32>()?
    );
    let gradient = gradient(&(found * weight)?.sum_all()?, &x)?;
    let expected = [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0];
    assert_eq!(gradient, expected);
    Ok(())
}

#[test]
fn the_squared_error_and_its_gradient_are_the_composed_ones() -> Result<()> {
    let (x, y) = (
        Var::from_tensor(&x()?)?,
        Tensor::new(&[0.3f32, 0.1, -1.0, 2.0], &Device::Cpu)?,
    );
    let composed = |x: &Var| x.as_tensor().broadcast_sub(&y)?.sqr()?.mean(1)?.sum_all();
    let (found, expected) = (squared_error(&x, &y)?, composed(&x)?);
    let error = (&found - &expected)?.abs()?.to_scalar::<f32>()?;
    assert!(error < 1e-5, "{error}");
    let pairs = gradient(&(found * 0.7)?, &x)?
        .into_iter()
        .zip(gradient(&(expected * 0.7)?, &x)?);
    for (found, expected) in pairs {
        assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
    }
    assert!(squared_error(&x, &y.narrow(0, 0, 2)?).is_err());
    Ok(())
}

#[test]
fn a_loss_with_its_gradient_is_the_loss_that_candle_differentiates() -> Result<()> {
    let (x, y) = (
        Var::from_tensor(&x()?)?,
        Tensor::new(&[0.3f32, 0.1, -1.0, 2.0], &Device::Cpu)?,
    );
    let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
    let (loss, found) = squared_error_with_gradient(&x, &y)?;
    let expected = squared_error(&x, &y)?;
    assert_eq!(loss.to_scalar::<f32>()?, expected.to_scalar::<f32>()?);
    assert_eq!(values(&found)?, gradient(&expected, &x)?);
    let found = pessimistic_loss(&x, &y, &0.25.into())?;
    let expected = ((&y * 0.25)? - minimum(&x)?)?.mean_all()?;
    let error = (&found.loss - &expected)?.abs()?.to_scalar::<f32>()?;
    assert!(error < 1e-6, "{error}");
    assert_eq!(values(&found.outputs)?, gradient(&expected, &x)?);
    assert_eq!(values(&found.penalty)?, [0.0625; 4]);
    assert!(pessimistic_loss(&x, &y.narrow(0, 1, 2)?, &0.25.into()).is_err());
    Ok(())
}
