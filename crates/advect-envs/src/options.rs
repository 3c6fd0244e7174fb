//! Settings behind an id: `Maze2dMedium-v0@noise=1.5,coverage=0.25`.

use std::str::FromStr;

use crate::EnvError;

/// What stands between an id and its settings.
pub(crate) const AT: char = '@';

/// The settings that an id was asked for with, taken out by the environment that knows them.
///
/// An environment takes each of its settings once, by name; what is left over at the end is a setting that it does not have.
#[derive(Debug)]
pub struct Options<'a> {
    id: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// Splits `ID@name=value,name=value` into the id and its settings.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] for what is no `name=value`, or a name that stands there twice.
    pub fn split(full_id: &'a str) -> Result<(&'a str, Self), EnvError> {
        let (id, text) = full_id.split_once(AT).unwrap_or((full_id, ""));
        let mut options = Self {
            id: full_id,
            pairs: Vec::new(),
            known: Vec::new(),
        };
        if id.len() < full_id.len() {
            for part in text.split(',') {
                options.add(part)?;
            }
        }
        Ok((id, options))
    }

    fn add(&mut self, part: &'a str) -> Result<(), EnvError> {
        let Some((name, value)) = part.split_once('=') else {
            let problem = format!("has the part `{part}`; write ID@name=value,name=value");
            return Err(self.bad("setting", problem));
        };
        if self.has(name) {
            return Err(self.bad("setting", format!("has `{name}` twice; give it once")));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// Whether the id has the setting `name`, still to be taken.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| *known == name)
    }

    /// The value of the setting `name`, or `default` if the id does not have it.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if the value cannot be read as a `T`.
    pub fn take<T: FromStr>(&mut self, name: &'static str, default: T) -> Result<T, EnvError> {
        self.known.push(name);
        let Some(index) = self.pairs.iter().position(|(key, _)| *key == name) else {
            return Ok(default);
        };
        let (_, value) = self.pairs.swap_remove(index);
        value.parse().map_err(|_| {
            let kind = std::any::type_name::<T>();
            self.bad(name, format!("is `{value}`, which is no {kind}"))
        })
    }

    /// Checks that no setting is left that nothing took.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] with the names that are known.
    pub fn finish(self) -> Result<(), EnvError> {
        let Some((name, _)) = self.pairs.first() else {
            return Ok(());
        };
        let problem = match self.known.as_slice() {
            [] => format!("has `{name}`, but this environment has no settings; give the id alone"),
            known => format!("has `{name}`; this environment knows {}", known.join(", ")),
        };
        Err(self.bad("setting", problem))
    }

    /// The error for a setting that makes no sense.
    pub fn bad(&self, what: &'static str, problem: String) -> EnvError {
        EnvError::BadSetting {
            id: self.id.to_owned(),
            what,
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_by_name() -> Result<(), EnvError> {
        let (id, mut options) = Options::split("Maze@noise=1.5,dense=true")?;
        assert_eq!(id, "Maze");
        assert_eq!(options.take("dense", false), Ok(true));
        assert_eq!(options.take("noise", 0.0), Ok(1.5));
        assert_eq!(options.take("coverage", 0.25), Ok(0.25));
        options.finish()
    }

    #[test]
    fn an_id_may_have_no_settings() -> Result<(), EnvError> {
        let (id, options) = Options::split("Maze")?;
        assert_eq!(id, "Maze");
        options.finish()
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for id in [
            "Maze@",
            "Maze@noise",
            "Maze@noise=1,",
            "Maze@noise=1,noise=2",
        ] {
            assert!(Options::split(id).is_err(), "{id}");
        }
        let (_, mut options) = Options::split("Maze@noise=much").unwrap();
        let error = options.take("noise", 0.0).unwrap_err().to_string();
        assert!(error.contains("noise of Maze@noise=much"), "{error}");
    }

    #[test]
    fn a_setting_that_nothing_took_is_named_beside_those_that_are_known() {
        let (_, mut options) = Options::split("Maze@nose=1").unwrap();
        assert_eq!(options.take("noise", 0.5), Ok(0.5));
        let error = options.finish().unwrap_err().to_string();
        assert!(
            error.contains("`nose`") && error.contains("knows noise"),
            "{error}"
        );
    }
}
