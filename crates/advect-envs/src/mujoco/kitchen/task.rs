//! The kitchen's tasks and their sets: gymnasium-robotics 1.4.2's and D4RL's facts.

/// A thing to do in the kitchen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KitchenTask {
    /// Turn the knob of the bottom left burner.
    BottomBurner,
    /// Turn the knob of the top left burner.
    TopBurner,
    /// Switch the light on.
    LightSwitch,
    /// Open the slide cabinet.
    SlideCabinet,
    /// Open the hinge cabinet.
    HingeCabinet,
    /// Open the microwave.
    Microwave,
    /// Move the kettle to the back.
    Kettle,
}

use KitchenTask::{
    BottomBurner, HingeCabinet, Kettle, LightSwitch, Microwave, SlideCabinet, TopBurner,
};

/// A task is complete this near to its goal.
const NEAR: f64 = 0.3;

impl KitchenTask {
    /// Every task, in Gymnasium-Robotics' order.
    pub const ALL: [Self; 7] = [
        BottomBurner,
        TopBurner,
        LightSwitch,
        SlideCabinet,
        HingeCabinet,
        Microwave,
        Kettle,
    ];

    /// Its name in ids.
    pub fn name(self) -> &'static str {
        match self {
            BottomBurner => "bottom_burner",
            TopBurner => "top_burner",
            LightSwitch => "light_switch",
            SlideCabinet => "slide_cabinet",
            HingeCabinet => "hinge_cabinet",
            Microwave => "microwave",
            Kettle => "kettle",
        }
    }

    /// The task of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }

    /// The first of the positions that it is about, and the positions to reach.
    pub fn goal(self) -> (usize, &'static [f64]) {
        match self {
            BottomBurner => (11, &[-0.88, -0.01]),
            TopBurner => (15, &[-0.92, -0.01]),
            LightSwitch => (17, &[-0.69, -0.05]),
            SlideCabinet => (19, &[0.37]),
            HingeCabinet => (20, &[0.0, 1.45]),
            Microwave => (22, &[-0.75]),
            Kettle => (23, &[-0.23, 0.75, 1.62, 0.99, 0.0, 0.0, -0.06]),
        }
    }

    /// Distance of the positions `qpos` from the goal.
    pub fn distance(self, qpos: &[f64]) -> f64 {
        let (first, goal) = self.goal();
        let positions = qpos.iter().skip(first).zip(goal);
        positions
            .map(|(position, goal)| (position - goal).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    /// Whether the positions `qpos` complete it.
    pub fn is_complete(self, qpos: &[f64]) -> bool {
        self.distance(qpos) < NEAR
    }
}

/// The task sets of D4RL's data sets; "complete" and "partial" differ in the data only.
pub(super) const SETS: [(&str, &[KitchenTask]); 3] = [
    ("complete", &[Microwave, Kettle, LightSwitch, SlideCabinet]),
    ("partial", &[Microwave, Kettle, LightSwitch, SlideCabinet]),
    ("mixed", &[Microwave, Kettle, BottomBurner, LightSwitch]),
];

/// A set of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TaskSet(u8);

impl TaskSet {
    pub(super) const NONE: Self = Self(0);

    pub(super) fn contains(self, task: KitchenTask) -> bool {
        self.0 & Self::from_iter([task]).0 != 0
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its tasks that the positions complete.
    pub(super) fn completed_by(self, qpos: &[f64]) -> Self {
        self.tasks().filter(|task| task.is_complete(qpos)).collect()
    }

    pub(super) fn tasks(self) -> impl Iterator<Item = KitchenTask> {
        let all = KitchenTask::ALL.into_iter();
        all.filter(move |task| self.contains(*task))
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// The set with these bits, if it is a subset of this one.
    pub(super) fn subset(self, bits: u8) -> Option<Self> {
        (bits & !self.0 == 0).then_some(Self(bits))
    }
}

impl FromIterator<KitchenTask> for TaskSet {
    fn from_iter<I: IntoIterator<Item = KitchenTask>>(tasks: I) -> Self {
        let bit = |task| 1 << task as u8;
        Self(tasks.into_iter().fold(0, |bits, task| bits | bit(task)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_each_task_once() {
        let set: TaskSet = [Kettle, Microwave, Kettle].into_iter().collect();
        assert_eq!(set.len(), 2);
        assert_eq!(set.tasks().collect::<Vec<_>>(), [Microwave, Kettle]);
        assert!(set.without([Kettle].into_iter().collect()).len() == 1);
        assert_eq!(set.subset(set.bits()), Some(set));
        assert_eq!(set.subset(0x7f), None);
        assert_eq!(set.subset(0xff), None);
    }

    #[test]
    fn tasks_are_complete_within_the_threshold() {
        let mut qpos = [0.0; 30];
        assert!(!Microwave.is_complete(&qpos));
        qpos[22] = -0.75 + 0.299;
        assert!(Microwave.is_complete(&qpos));
        qpos[22] = -0.75 - 0.301;
        assert!(!Microwave.is_complete(&qpos));
        for task in KitchenTask::ALL {
            let (first, goal) = task.goal();
            qpos[first..first + goal.len()].copy_from_slice(goal);
            assert_eq!(task.distance(&qpos), 0.0);
            assert_eq!(KitchenTask::from_name(task.name()), Some(task));
        }
    }
}
