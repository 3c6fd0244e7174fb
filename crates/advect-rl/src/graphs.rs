//! Updates and actions as CUDA graphs: recorded once for each kind, then launched by one call.

use std::collections::BTreeMap;

use advect_kernels::decline::Decline;
use advect_kernels::graph::{Graph, Position, Recorder};
use advect_kernels::scalars::ScalarLog;
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use crate::agent::{ActMode, Agent, Label, Metrics};
use crate::batch::Batch;

/// Updates of a kind that are launched kernel by kernel before one is recorded: libraries choose their algorithms in them, and what
/// candle uploads is kept.
const REHEARSALS: u32 = 2;

/// What an update moves on the host where it otherwise launches the same work each time.
#[derive(Debug)]
pub struct Repeats<'a> {
    /// Updates of one kind launch the same work; a delayed update of the policy is another kind.
    pub kind: u64,
    /// The streams that updates draw from, in the same order every time.
    pub streams: Vec<&'a mut Stream>,
    /// The count of updates.
    pub updates: &'a mut u64,
}

/// What an update reports.
#[derive(Debug)]
pub struct Updated {
    /// Metrics of the host, and of the device where they are not in the log.
    pub metrics: Metrics,
    /// Labels of the scalars that its launches have put into the log.
    pub logged: Vec<Label>,
}

/// The graphs of a run.
#[derive(Debug)]
pub struct Graphs {
    recorder: Recorder,
    kinds: BTreeMap<u64, Kind>,
    acting: Acting,
}

/// The agent's actions while it explores.
#[derive(Debug)]
enum Acting {
    /// So often, with the last actions.
    Rehearsed(u32, Option<Tensor>),
    Recorded(Act),
}

/// A graph from observations to actions, both where they always lie.
#[derive(Debug)]
struct Act {
    graph: Graph,
    obs: Tensor,
    act: Tensor,
}

#[derive(Debug)]
enum Kind {
    Rehearsed(u32),
    Recorded(Recorded),
}

#[derive(Debug)]
struct Recorded {
    graph: Graph,
    metrics: Metrics,
    logged: Vec<Label>,
}

/// Where the updates' transitions come from: minibatches that are drawn on the device.
pub trait Source {
    /// The stream that they are drawn with.
    fn stream(&mut self) -> &mut Stream;

    /// A minibatch.
    ///
    /// # Errors
    /// If the device fails.
    fn sample(&mut self) -> Result<Batch>;
}

impl Graphs {
    /// No graph yet; nothing for a device that has none.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(device: &Device) -> Result<Option<Self>> {
        let recorder = Recorder::new(device)?;
        Ok(recorder.map(|recorder| Self {
            recorder,
            kinds: BTreeMap::new(),
            acting: Acting::Rehearsed(0, None),
        }))
    }

    /// One update of an agent; nothing if that agent's updates are not repeatable.
    ///
    /// # Errors
    /// What the agent reports; and in the recording of a graph, if the update waits for the device or uploads something new.
    pub fn update(
        &mut self,
        agent: &mut dyn Agent,
        source: &mut dyn Source,
        log: &mut ScalarLog,
    ) -> Result<Option<Updated>> {
        let Some(kind) = agent.repeats().map(|repeats| repeats.kind) else {
            return Ok(None);
        };
        let state = self.kinds.entry(kind).or_insert(Kind::Rehearsed(0));
        match state {
            Kind::Rehearsed(REHEARSALS) => {
                let recorded = record(&mut self.recorder, agent, source, log)?;
                let updated = recorded.updated();
                *state = Kind::Recorded(recorded);
                Ok(Some(updated))
            }
            Kind::Rehearsed(times) => {
                *times += 1;
                let rehearsed = || agent.update(&source.sample()?);
                let metrics = self.recorder.rehearse(rehearsed)?;
                let logged = Vec::new();
                Ok(Some(Updated { metrics, logged }))
            }
            Kind::Recorded(recorded) => {
                launch(&mut self.recorder, recorded, agent, source, log)?;
                Ok(Some(recorded.updated()))
            }
        }
    }

    /// Actions for exploration `[n, d]`, which the next call overwrites, for observations `[n, o]` of the same number in every call.
    ///
    /// # Errors
    /// What the agent reports.
    pub fn act(&mut self, agent: &mut dyn Agent, obs: &Tensor) -> Result<Tensor> {
        if agent.explores_with().is_none() {
            return agent.act(obs, ActMode::Explore);
        }
        match &mut self.acting {
            Acting::Rehearsed(REHEARSALS, Some(last)) => {
                let recorded = Act::record(&mut self.recorder, agent, obs, last)?;
                let actions = recorded.act.clone();
                self.acting = Acting::Recorded(recorded);
                Ok(actions)
            }
            Acting::Rehearsed(times, last) => {
                *times += 1;
                let act = || agent.act(obs, ActMode::Explore);
                let act = self.recorder.rehearse(act)?.contiguous()?;
                *last = Some(act.clone());
                Ok(act)
            }
            Acting::Recorded(recorded) => recorded.launch(&mut self.recorder, agent, obs),
        }
    }
}

impl Act {
    /// Records a choice of actions like `like` and launches it.
    fn record(
        recorder: &mut Recorder,
        agent: &mut dyn Agent,
        obs: &Tensor,
        like: &Tensor,
    ) -> Result<Self> {
        let (obs, act) = (obs.copy()?, like.copy()?);
        let from = exploring(agent);
        let work = || {
            let found = agent.act(&obs, ActMode::Explore)?;
            act.slice_set(&found.contiguous()?, 0, 0)?;
            Ok(((), exploring(agent)))
        };
        let (graph, ()) = recorder.record(&from, work).map_err(unrecorded)?;
        recorder.launch(&graph, &from)?;
        Ok(Self { graph, obs, act })
    }

    fn launch(
        &self,
        recorder: &mut Recorder,
        agent: &mut dyn Agent,
        obs: &Tensor,
    ) -> Result<Tensor> {
        self.obs.slice_set(obs, 0, 0)?;
        recorder.launch(&self.graph, &exploring(agent))?;
        let streams = agent.explores_with().into_iter().flatten();
        for (stream, blocks) in streams.zip(self.graph.moves()) {
            stream.skip(*blocks);
        }
        Ok(self.act.clone())
    }
}

fn exploring(agent: &mut dyn Agent) -> Vec<Position> {
    let streams = agent.explores_with().into_iter().flatten();
    streams.map(|stream| Position::from(&*stream)).collect()
}

fn unrecorded(e: candle_core::Error) -> candle_core::Error {
    let fix = "set `graphs = false` to launch kernel by kernel";
    candle_core::Error::Msg(format!("this cannot be recorded as a graph: {e}; {fix}"))
}

impl Recorded {
    fn updated(&self) -> Updated {
        Updated {
            metrics: self.metrics.clone(),
            logged: self.logged.clone(),
        }
    }
}

/// Records an update and launches it.
fn record(
    recorder: &mut Recorder,
    agent: &mut dyn Agent,
    source: &mut dyn Source,
    log: &mut ScalarLog,
) -> Result<Recorded> {
    let from = positions(agent, source, log);
    let work = || {
        let mut metrics = agent.update(&source.sample()?)?;
        log.push(&metrics.unread())?;
        let logged = metrics.labels_unread();
        Ok(((metrics, logged), positions(agent, source, log)))
    };
    let recorded = recorder.record(&from, work).map_err(unrecorded)?;
    let (graph, (metrics, logged)) = recorded;
    recorder.launch(&graph, &from)?;
    Ok(Recorded {
        graph,
        metrics,
        logged,
    })
}

/// Launches a recorded update, and moves on the host what it moves on the device.
fn launch(
    recorder: &mut Recorder,
    recorded: &Recorded,
    agent: &mut dyn Agent,
    source: &mut dyn Source,
    log: &mut ScalarLog,
) -> Result<()> {
    let from = positions(agent, source, log);
    recorder.launch(&recorded.graph, &from)?;
    log.advance(recorded.logged.len());
    if let Some(repeats) = agent.repeats() {
        *repeats.updates += 1;
        let drawn_from = std::iter::once(source.stream()).chain(repeats.streams);
        for (stream, blocks) in drawn_from.zip(&recorded.graph.moves()[1..]) {
            stream.skip(*blocks);
        }
    }
    Ok(())
}

/// What a graph of the agent's update moves: the log, the stream of minibatches, the agent's own streams and its count of updates.
fn positions(agent: &mut dyn Agent, source: &mut dyn Source, log: &ScalarLog) -> Vec<Position> {
    let mut positions = vec![log.position(), Position::from(&*source.stream())];
    if let Some(repeats) = agent.repeats() {
        let streams = repeats.streams.into_iter();
        positions.extend(streams.map(|stream| Position::from(&*stream)));
        positions.push(Decline::position(*repeats.updates));
    }
    positions
}
