//! Frames: a header of eight bytes and a payload, little-endian; docs/guides/bridge.md describes them.

use crate::{EnvSpec, GoalLayout};

/// First bytes of both greetings.
pub(super) const MAGIC: &[u8; 8] = b"ADVBRIDG";
/// Version of the protocol.
pub(super) const VERSION: u32 = 1;
/// Length of a header.
pub(super) const HEADER: usize = 8;
/// Longest payload in bytes.
pub(super) const MAX_PAYLOAD: usize = 1 << 28;
/// Longest payload of an error.
pub(super) const MAX_ERROR: usize = 1 << 16;
/// Most numbers of an observation.
const MAX_OBS: usize = 1 << 24;
/// Most numbers of an action.
const MAX_ACT: usize = 1 << 16;
/// Length of a specification before the bounds.
const SPEC_HEAD: usize = 5 * 4 + 8;
/// Longest payload of a specification.
pub(super) const MAX_SPEC: usize = SPEC_HEAD + 8 * MAX_ACT;

/// What a request asks for; its answer has the same number plus 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Make = 2,
    Reset = 3,
    Step = 4,
    Close = 5,
}

impl Kind {
    pub(super) fn answer(self) -> u8 {
        self as u8 | 0x80
    }

    /// The word for it in errors.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Self::Hello => "start",
            Self::Make => "make",
            Self::Reset => "reset",
            Self::Step => "step",
            Self::Close => "close",
        }
    }
}

/// Number of the answer that reports an error.
pub(super) const ERROR: u8 = 0xFF;

/// Writes a frame into `out`, which it empties first.
pub(super) fn encode(out: &mut Vec<u8>, kind: Kind, payload: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    out.extend([0, 0, 0, 0, kind as u8, 0, 0, 0]);
    payload(out);
    let len = u32::try_from(out.len() - HEADER).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&len.to_le_bytes());
}

/// Length and kind of the payload behind a header.
pub(super) fn decode_header(header: [u8; HEADER]) -> (usize, u8) {
    let [a, b, c, d, kind, ..] = header;
    let len = u32::from_le_bytes([a, b, c, d]);
    (usize::try_from(len).unwrap_or(usize::MAX), kind)
}

/// Reads numbers of a payload, one behind the other.
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl Numbers<'_> {
    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn f32(&mut self) -> Result<f32, String> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, String> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, String> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn size(&mut self) -> Result<usize, String> {
        let size = self.u32()?;
        usize::try_from(size).map_err(|_| format!("a size of {size}"))
    }

    pub(super) fn f64s(&mut self, out: &mut [f64]) -> Result<(), String> {
        out.iter_mut()
            .try_for_each(|value| self.f64().map(|read| *value = read))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let Some((head, rest)) = self.0.split_first_chunk() else {
            return Err("the payload is too short".to_owned());
        };
        self.0 = rest;
        Ok(*head)
    }
}

/// The specification in a payload; `id` is the name of the environment.
pub(super) fn decode_spec(id: &str, payload: &[u8]) -> Result<EnvSpec, String> {
    let mut numbers = Numbers(payload);
    let [observation, achieved, desired] = [numbers.size()?, numbers.size()?, numbers.size()?];
    let (act_dim, limit, threshold) = (numbers.size()?, numbers.u32()?, numbers.f64()?);
    let obs_dim = observation.saturating_add(achieved).saturating_add(desired);
    check_size("observation", obs_dim, MAX_OBS)?;
    check_size("action", act_dim, MAX_ACT)?;
    if numbers.0.len() != 8 * act_dim {
        let found = numbers.0.len();
        return Err(format!(
            "{act_dim} action bounds take {} bytes, {found} came",
            8 * act_dim
        ));
    }
    let mut bounds = || {
        (0..act_dim)
            .map(|_| numbers.f32())
            .collect::<Result<_, _>>()
    };
    let (act_low, act_high): (Vec<f32>, Vec<f32>) = (bounds()?, bounds()?);
    check_bounds(&act_low, &act_high)?;
    Ok(EnvSpec {
        id: id.to_owned(),
        obs_dim,
        act_dim,
        act_low,
        act_high,
        max_episode_steps: (limit > 0).then_some(limit),
        reward_threshold: (!threshold.is_nan()).then_some(threshold),
        goal: goal(observation, achieved, desired)?,
        image: None,
    })
}

fn check_bounds(low: &[f32], high: &[f32]) -> Result<(), String> {
    let ordered = |(low, high): (&f32, &f32)| low <= high;
    match low.iter().zip(high).position(|pair| !ordered(pair)) {
        None => Ok(()),
        Some(index) => Err(format!(
            "the bounds of action[{index}] are {} and {}",
            low[index], high[index]
        )),
    }
}

fn check_size(what: &str, size: usize, most: usize) -> Result<(), String> {
    match size {
        0 => Err(format!("the {what} has no numbers")),
        _ if size > most => Err(format!(
            "the {what} has {size} numbers, more than the {most} allowed"
        )),
        _ => Ok(()),
    }
}

fn goal(observation: usize, achieved: usize, desired: usize) -> Result<Option<GoalLayout>, String> {
    let start = observation + achieved;
    match (achieved, desired) {
        (0, 0) => Ok(None),
        (0, _) | (_, 0) => Err("one of the two goals is empty".to_owned()),
        _ => Ok(Some(GoalLayout {
            achieved: observation..start,
            desired: start..start + desired,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sizes: [u32; 5], bounds: &[f32]) -> Vec<u8> {
        let mut bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        bytes.extend(f64::NAN.to_le_bytes());
        bytes.extend(bounds.iter().flat_map(|bound| bound.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_specification_is_read() {
        let found = decode_spec("A", &spec([4, 2, 2, 1, 50], &[-1.0, 2.0])).unwrap();
        assert_eq!((found.obs_dim, found.act_dim), (8, 1));
        assert_eq!((found.act_low, found.act_high), (vec![-1.0], vec![2.0]));
        assert_eq!(
            (found.max_episode_steps, found.reward_threshold),
            (Some(50), None)
        );
        let goal = found.goal.unwrap();
        assert_eq!((goal.achieved, goal.desired), (4..6, 6..8));
    }

    #[test]
    fn damaged_specifications_are_refused() {
        let good = spec([3, 0, 0, 1, 0], &[-1.0, 1.0]);
        for len in 0..good.len() {
            assert!(decode_spec("A", &good[..len]).is_err(), "{len}");
        }
        for sizes in [
            [u32::MAX, u32::MAX, 1, 1, 0],
            [0, 0, 0, 1, 0],
            [3, 0, 0, 0, 0],
            [3, 0, 0, u32::MAX, 0],
            [3, 1, 0, 1, 0],
        ] {
            assert!(
                decode_spec("A", &spec(sizes, &[-1.0, 1.0])).is_err(),
                "{sizes:?}"
            );
        }
        for bounds in [[1.0, -1.0], [f32::NAN, 1.0]] {
            assert!(decode_spec("A", &spec([3, 0, 0, 1, 0], &bounds)).is_err());
        }
    }

    #[test]
    fn a_frame_has_its_length_in_front() {
        let mut frame = vec![1, 2, 3];
        encode(&mut frame, Kind::Close, |out| {
            out.extend(7u32.to_le_bytes())
        });
        assert_eq!(frame, [4, 0, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(
            decode_header([4, 0, 0, 0, 0x85, 0, 0, 0]),
            (4, Kind::Close.answer())
        );
    }
}
