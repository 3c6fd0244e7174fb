//! What a dataset looks like.

use std::fmt;

use super::Dataset;
use crate::ImageShape;

/// Smallest, largest, mean and standard deviation of a coordinate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Smallest number.
    pub low: f64,
    /// Largest number.
    pub high: f64,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
}

impl Column {
    /// Over the numbers of an iterator; zeros for none.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values
            .clone()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count;
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let bound = |bound: f64| if bound.is_finite() { bound } else { 0.0 };
        Self {
            low: bound(low),
            high: bound(high),
            mean,
            std: variance.sqrt(),
        }
    }
}

/// Statistics of a dataset; their `Display` is what a person reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// Id of the environment, where the file says it.
    pub env: Option<String>,
    /// Number of transitions.
    pub transitions: usize,
    /// Number of episodes.
    pub episodes: usize,
    /// Episodes that ended in a terminal state.
    pub terminated: usize,
    /// Lengths of the episodes.
    pub length: Column,
    /// Returns of the episodes, undiscounted.
    pub returns: Column,
    /// Rewards.
    pub reward: Column,
    /// The frames that observations begin with.
    pub image: Option<ImageShape>,
    /// Each coordinate of the observation, without those of its frames.
    pub obs: Vec<Column>,
    /// Each coordinate of the action.
    pub act: Vec<Column>,
}

impl Dataset {
    /// Statistics of every column.
    pub fn stats(&self) -> Stats {
        let ends = self.episodes.iter().map(|episode| episode.end - 1);
        let lengths = self.episodes.iter().map(|episode| episode.len() as f64);
        let columns = |values: &[f32], width: usize| {
            let column = |index: usize| values.iter().skip(index).step_by(width);
            (0..width)
                .map(|index| Column::of(column(index).map(|value| f64::from(*value))))
                .collect()
        };
        Stats {
            env: self.env.clone(),
            transitions: self.len(),
            episodes: self.episodes.len(),
            terminated: ends.filter(|end| self.terminated[*end]).count(),
            length: Column::of(lengths),
            returns: Column::of(self.returns().into_iter()),
            reward: Column::of(self.reward.iter().map(|reward| f64::from(*reward))),
            image: self.frames.as_ref().map(|frames| frames.shape),
            obs: columns(&self.obs, self.obs_dim),
            act: columns(&self.act, self.act_dim),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            low,
            high,
            mean,
            std,
        } = self;
        write!(f, "{low:>12.4} {high:>12.4} {mean:>12.4} {std:>12.4}")
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "environment  {}",
            self.env.as_deref().unwrap_or("not named")
        )?;
        writeln!(f, "transitions  {}", self.transitions)?;
        let cut = self.episodes - self.terminated;
        writeln!(
            f,
            "episodes     {} ({} terminated, {cut} cut off)",
            self.episodes, self.terminated
        )?;
        if let Some(image) = self.image {
            writeln!(f, "frames       {image}")?;
        }
        write!(
            f,
            "{:<16} {:>12} {:>12} {:>12} {:>12}",
            "", "min", "max", "mean", "std"
        )?;
        let named = [
            ("length", self.length),
            ("return", self.returns),
            ("reward", self.reward),
        ];
        for (name, column) in named {
            write!(f, "\n{name:<16} {column}")?;
        }
        for (name, columns) in [("observation", &self.obs), ("action", &self.act)] {
            for (index, column) in columns.iter().enumerate() {
                write!(f, "\n{:<16} {column}", format!("{name}[{index}]"))?;
            }
        }
        Ok(())
    }
}
