//! Evaluation measures the policy and touches nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use advect_envs::{EnvError, EnvSpec};
use advect_rl::eval::evaluate;
use advect_rl::{ActMode, Agent, EnvFactory, StateDict, TrainError};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use common::{ENV, agent, factory};

#[test]
fn evaluation_repeats_itself_and_leaves_the_agent_as_it_was() {
    let mut agent = agent(ENV);
    let state = |agent: &dyn Agent| {
        let mut state = StateDict::new();
        agent.save(&mut state).unwrap();
        state
    };
    let before = state(&agent);
    let first = evaluate(&mut agent, &factory(ENV), 3, 11, &Device::Cpu).unwrap();
    assert_eq!(state(&agent), before);
    assert_eq!(
        evaluate(&mut agent, &factory(ENV), 3, 11, &Device::Cpu).unwrap(),
        first
    );
    assert_ne!(
        evaluate(&mut agent, &factory(ENV), 3, 12, &Device::Cpu)
            .unwrap()
            .returns,
        first.returns
    );
    assert_eq!(first.lengths, [200; 3]);
    assert_ne!(first.returns[0], first.returns[1]);
    let obs = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    agent.act(&obs, ActMode::Explore).unwrap();
    assert_ne!(state(&agent), before);
}

#[test]
fn episodes_of_different_length_are_told_apart_from_truncation() {
    let id = "Probe-Discounting-v0";
    let report = evaluate(&mut agent(id), &factory(id), 2, 0, &Device::Cpu).unwrap();
    assert_eq!((report.mean, report.std, report.iqm), (1.0, 0.0, 1.0));
    assert_eq!(report.mean_interval, [1.0, 1.0]);
}

#[test]
fn what_an_evaluation_cannot_do_is_said() {
    let error = evaluate(&mut agent(ENV), &factory(ENV), 0, 0, &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("set eval_episodes to 1 or more"), "{error}");
    let error = evaluate(
        &mut agent(ENV),
        &factory("Probe-NonFinite-v0"),
        1,
        0,
        &Device::Cpu,
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("Probe-NonFinite-v0") || matches!(error, TrainError::Tensor(_)),
        "{error}"
    );
    let unknown: EnvFactory = Box::new(|| advect_envs::make("Pendulun-v1"));
    let error = evaluate(&mut agent(ENV), &unknown, 1, 0, &Device::Cpu).unwrap_err();
    assert!(
        matches!(error, TrainError::Env(EnvError::UnknownId { .. })),
        "{error}"
    );
}

/// An agent of another environment: its actions have the wrong width.
#[test]
fn an_agent_of_another_environment_is_refused() {
    let spec = EnvSpec {
        act_dim: 2,
        ..advect_envs::make(ENV).unwrap().spec().clone()
    };
    let mut agent = common::TinyAgent::new(&spec, 0).unwrap();
    agent.begin_evaluation(Stream::new(0, "test"));
    let error = evaluate(&mut agent, &factory(ENV), 1, 0, &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Pendulum-v1 takes [1, 1]: build the agent from this environment's spec"),
        "{error}"
    );
}
