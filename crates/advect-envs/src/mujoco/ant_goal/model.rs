//! The ant with a flag at its goal, and how both begin.

use crate::EnvError;
use crate::mujoco::locate::Installation;
use crate::mujoco::{Model, models};

/// Name of the model in messages, and in the table of shared models.
const NAME: &str = "the ant and a flag";
/// Gymnasium's ant, which differs from the task's in what [`EDITS`] names.
const ANT: &str = "ant.xml";
/// Sizes of the model: the ant's and those of a free body.
pub(super) const NQ: usize = 22;
pub(super) const NV: usize = 20;
pub(super) const NU: usize = 8;
/// Bodies of the model, the world included.
pub(super) const NBODY: usize = 15;
/// Where the flag's position begins among all positions.
pub(super) const FLAG: usize = 15;
/// Where the quaternions of torso and flag begin.
pub(super) const QUATERNIONS: [usize; 2] = [3, 18];

/// Where ant and flag begin, before noise, goal and the normalisation of the quaternions.
pub(super) const FIRST_QPOS: [f64; NQ] = [
    0.0, 0.0, 0.55, 1.0, 0.0, 0.0, 0.0, // torso
    0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0, // legs
    0.15, 0.15, 0.15, 1.0, 1.0, 0.0, 0.0, // flag
];

/// What stands in the ant's file, and what stands there in this task's: a longer physics step, softer contacts, and the flag behind
/// all other bodies. The flag touches the floor and not the ant.
const EDITS: [(&str, &str); 3] = [
    (r#"timestep="0.01""#, r#"timestep="0.02""#),
    (
        r#"<geom conaffinity="0""#,
        r#"<geom solref="0.02 1" solimp="0.8 0.8 0.01" conaffinity="0""#,
    ),
    (
        "</worldbody>",
        r#"<body name="goal" pos="0.4 0.1 0.04">
             <joint type="free" limited="false" damping="0" armature="0"/>
             <geom type="box" size="0.5 0.5 0.5" mass="0.2" contype="1" conaffinity="2" rgba="0 0 0 0"/>
             <geom type="cylinder" size="0.08" fromto="0 -0.3 0 0 1.3 0" mass="0.2" contype="1" conaffinity="2"/>
             <geom type="box" size="0.4 0.25 0.05" pos="0.4 0.95 0" mass="0.2" contype="1" conaffinity="2" rgba="0 1 0 1"/>
           </body></worldbody>"#,
    ),
];

/// Compiles the model.
///
/// # Errors
/// Those of finding MuJoCo, [`EnvError::MujocoModel`].
pub(super) fn shared() -> Result<std::sync::Arc<Model>, EnvError> {
    models::shared(NAME, || {
        let path = Installation::locate()?.models.join(ANT);
        let bad = |reason: String| EnvError::MujocoModel {
            model: path.display().to_string(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
        let model = Model::from_xml_str(&edited(text).map_err(bad)?)?;
        models::check_sizes(&model, NAME, [NQ, NV, NU])?;
        Ok(model)
    })
}

/// The text with every edit, or why it cannot be edited.
fn edited(text: String) -> Result<String, String> {
    EDITS
        .into_iter()
        .try_fold(text, |text, (old, new)| match text.matches(old).count() {
            1 => Ok(text.replacen(old, new, 1)),
            count => Err(format!(
                "`{old}` stands there {count} times instead of once"
            )),
        })
}

/// Scales the quaternions among the positions to length 1.
pub(super) fn normalise(qpos: &mut [f64; NQ]) {
    for first in QUATERNIONS {
        let quaternion = &mut qpos[first..first + 4];
        let length = quaternion.iter().map(|q| q * q).sum::<f64>().sqrt();
        for q in quaternion {
            *q /= length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quaternions_get_length_one() {
        let mut qpos = FIRST_QPOS;
        normalise(&mut qpos);
        assert_eq!(qpos[..FLAG + 3], FIRST_QPOS[..FLAG + 3]);
        let half = 0.5_f64.sqrt();
        assert!((qpos[18] - half).abs() < 1e-15 && (qpos[19] - half).abs() < 1e-15);
    }

    #[test]
    fn another_file_is_refused() {
        let error = edited("<mujoco/>".to_owned()).unwrap_err();
        assert!(error.contains("timestep"), "{error}");
    }
}
