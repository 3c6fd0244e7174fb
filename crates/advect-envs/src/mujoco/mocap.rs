//! What robots that follow a mocap body need beyond [`super::sim`]: welds, mocap poses and the Jacobians of sites.
#![allow(unsafe_code)] // calls into MuJoCo, see `dl`

use std::ffi::c_int;

use super::layout::{self, EQ_NUMBERS, WELD};
use super::sim::{Data, Model};
use crate::EnvError;

/// What [`Model::reset_welds`] writes: no offset, and the first number of the quaternion.
const NO_OFFSET: [f64; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// Derivatives of a site's pose by the velocities, row by row.
pub(super) struct SiteJacobian {
    /// Of the position `[3, nv]`.
    pub(super) position: Vec<f64>,
    /// Of the rotation `[3, nv]`.
    pub(super) rotation: Vec<f64>,
}

impl Model {
    /// Makes every weld hold its bodies together without an offset, as Gymnasium-Robotics' `reset_mocap_welds` does: the
    /// numbers 0 to 6 of its `eq_data` become 0, 0, 0, 0, 0, 0, 1, and the rest of the quaternion stays.
    pub(super) fn reset_welds(&mut self) {
        let kinds = self.equality_kinds();
        let welds = self.numbers_mut(layout::model::EQ_DATA, kinds.len() * EQ_NUMBERS);
        for (numbers, kind) in welds.chunks_exact_mut(EQ_NUMBERS).zip(kinds) {
            if kind == WELD {
                numbers[..NO_OFFSET.len()].copy_from_slice(&NO_OFFSET);
            }
        }
    }

    /// `eq_data` of all welds `[welds * 12]`.
    pub(super) fn welds(&self) -> Vec<f64> {
        let kinds = self.equality_kinds();
        let numbers = self.numbers(layout::model::EQ_DATA, kinds.len() * EQ_NUMBERS);
        let all = numbers.chunks_exact(EQ_NUMBERS).zip(kinds);
        let welds = all.filter(|(_, kind)| *kind == WELD);
        welds.flat_map(|(numbers, _)| numbers).copied().collect()
    }

    /// `eq_type`
    fn equality_kinds(&self) -> Vec<c_int> {
        let count = self.size(layout::model::NEQ);
        if count == 0 {
            return Vec::new();
        }
        // SAFETY: 3.17.0 keeps a pointer to that many ints there, as long as the model lives.
        unsafe {
            let field = self.as_ptr().byte_add(layout::model::EQ_TYPE);
            let kinds: *const c_int = field.cast::<*const c_int>().read();
            std::slice::from_raw_parts(kinds, count).to_vec()
        }
    }

    /// Number of mocap bodies.
    fn nmocap(&self) -> usize {
        self.size(layout::model::NMOCAP)
    }
}

impl Data {
    /// Rotation matrix of each site `[nsite * 9]`, as the last step left it.
    pub(super) fn site_xmat(&self) -> &[f64] {
        self.numbers(layout::data::SITE_XMAT, 9 * self.model().nsite())
    }

    /// Positions of the mocap bodies `[nmocap * 3]`.
    pub(super) fn mocap_pos(&self) -> &[f64] {
        self.numbers(layout::data::MOCAP_POS, 3 * self.model().nmocap())
    }

    /// Orientations of the mocap bodies `[nmocap * 4]`.
    pub(super) fn mocap_quat(&self) -> &[f64] {
        self.numbers(layout::data::MOCAP_QUAT, 4 * self.model().nmocap())
    }

    /// Moves the first mocap body.
    pub(super) fn set_mocap(&mut self, position: [f64; 3], orientation: [f64; 4]) {
        let count = self.model().nmocap();
        let positions = self.numbers_mut(layout::data::MOCAP_POS, 3 * count);
        if let Some(first) = positions.first_chunk_mut() {
            *first = position;
        }
        let orientations = self.numbers_mut(layout::data::MOCAP_QUAT, 4 * count);
        if let Some(first) = orientations.first_chunk_mut() {
            *first = orientation;
        }
    }

    /// `mj_jacSite`, from the quantities that the last step left.
    ///
    /// # Errors
    /// [`EnvError::MujocoModel`] if the model has no such site, [`EnvError::MujocoFailed`].
    pub(super) fn site_jacobian(&mut self, site: usize) -> Result<SiteJacobian, EnvError> {
        let (nv, sites) = (self.model().nv(), self.model().nsite());
        let index = c_int::try_from(site).ok().filter(|_| site < sites);
        let index = index.ok_or_else(|| EnvError::MujocoModel {
            model: format!("with {sites} sites"),
            reason: format!("there is no site {site}"),
        })?;
        let mut jacobian = SiteJacobian {
            position: vec![0.0; 3 * nv],
            rotation: vec![0.0; 3 * nv],
        };
        let (position, rotation) = (&mut jacobian.position, &mut jacobian.rotation);
        self.call(|api, model, data| {
            // SAFETY: both are alive, there is such a site, and the buffers have room for three rows of nv numbers.
            unsafe {
                let (position, rotation) = (position.as_mut_ptr(), rotation.as_mut_ptr());
                (api.mj_jacSite)(model, data, position, rotation, index);
            }
        })?;
        Ok(jacobian)
    }
}
