//! Compiled models that environments share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::dl::lock;
use super::sim::Model;
use crate::EnvError;

/// The models that some environment still uses, by name.
static MODELS: Mutex<Option<HashMap<String, Weak<Model>>>> = Mutex::new(None);

/// The model `name`, compiled unless an environment of this process has it already.
pub(super) fn shared(
    name: &str,
    compile: impl FnOnce() -> Result<Model, EnvError>,
) -> Result<Arc<Model>, EnvError> {
    let mut models = lock(&MODELS);
    let models = models.get_or_insert_default();
    if let Some(model) = models.get(name).and_then(Weak::upgrade) {
        return Ok(model);
    }
    let model = Arc::new(compile()?);
    models.insert(name.to_owned(), Arc::downgrade(&model));
    Ok(model)
}

/// Checks that a model has the sizes `[nq, nv, nu]` that its environment was written for.
pub(super) fn check_sizes(model: &Model, name: &str, wanted: [usize; 3]) -> Result<(), EnvError> {
    let found = [model.nq(), model.nv(), model.nu()];
    if found == wanted {
        return Ok(());
    }
    Err(EnvError::MujocoModel {
        model: name.to_owned(),
        reason: format!("nq, nv, nu are {found:?} instead of {wanted:?}"),
    })
}
