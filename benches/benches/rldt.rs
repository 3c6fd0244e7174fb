//! RLDT's steps at the sizes of its `fast` preset on Hopper (11 observations, chunks of 4 times 3 actions): the transport field beside its matrix
//! products, sampling, a policy step on 512 states of 8 particles, a critic step on 2,048 rows.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may stop at an error

use std::sync::Arc;

use advect_algos::Dims;
use advect_algos::rldt::RldtConfig;
use advect_algos::rldt::critic::{Share, action_gradient, disjoint_losses, next_value};
use advect_algos::rldt::landing::sample;
use advect_algos::rldt::step::{PolicyStep, StepNoise};
use advect_benches::normals;
use advect_flow::{Candidates, VelocityNet};
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, ParamLayout, Params, Precision};
use advect_rl::{CriticNet, Learned};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DIMS: Dims = Dims { obs: 11, act: 12 };
const STATES: usize = 512;
const ROWS: usize = 2048;
const CRITICS: usize = 2;

/// The networks of the preset, weights near zero.
struct Networks {
    config: RldtConfig,
    velocity: VelocityNet,
    policy: Learned,
    critic: CriticNet,
    critics: Learned,
}

fn learned(layout: Arc<ParamLayout>, members: Option<usize>, stream: &mut Stream) -> Learned {
    let count = layout.len() * members.unwrap_or(1);
    let values = (normals(stream, &[count]).unwrap() * 0.05).unwrap();
    let values = values.to_vec1().unwrap();
    let params = Params::from_vec(layout, members, values, &Device::Cpu).unwrap();
    Learned::new(params, AdamConfig::default()).unwrap()
}

impl Networks {
    fn draw(stream: &mut Stream) -> Self {
        let config = RldtConfig::default();
        let velocity = config.network.build(DIMS).unwrap();
        let hidden = &config.critic_hidden;
        let critic = CriticNet::new(DIMS.obs, DIMS.act, hidden, Activation::Silu).unwrap();
        Self {
            policy: learned(velocity.layout().clone(), None, stream),
            critics: learned(critic.layout().into(), Some(CRITICS), stream),
            config,
            velocity,
            critic,
        }
    }

    /// Particles of all states after `n_steps` steps of the flow.
    fn sample(&self, obs: &Tensor, stream: &mut Stream, n_steps: usize) {
        let shape = (STATES, self.config.particles, DIMS.act);
        let noise = StepNoise::draw(shape, n_steps, stream, &Device::Cpu).unwrap();
        let field = Candidates {
            net: &self.velocity,
            params: &self.policy.params().detached(),
            obs,
            precision: Precision::F32,
        };
        sample(&field, &noise.x_0, &noise.step, n_steps).unwrap();
    }

    fn policy_step(&mut self, obs: &Tensor, stream: &mut Stream) {
        let shape = (STATES, self.config.particles, DIMS.act);
        let n_steps = self.config.n_steps;
        let noise = StepNoise::draw(shape, n_steps, stream, &Device::Cpu).unwrap();
        let step = PolicyStep {
            net: &self.velocity,
            field: self.config.field(),
            coefficients: self.config.coefficients(),
        };
        let critics = self.critics.params().tensor();
        let gradient =
            |obs: &Tensor, act: &Tensor| action_gradient(&self.critic, critics, obs, act);
        let policy = self.policy.params();
        let loss = step.loss(policy.tensor(), &policy.detached(), obs, &noise, gradient);
        let total = loss.unwrap().terms.total().unwrap();
        self.policy.descend(&total, self.config.policy_lr).unwrap();
    }

    /// Targets from two actions per next state, and a step on as many rows per critic as it has.
    fn critic_step(&mut self, obs: &Tensor, act: &Tensor, next_act: &Tensor) {
        let targets = self.critics.params().detached();
        let clip = (self.config.q_min, self.config.q_max);
        let y = next_value(&self.critic, &targets, obs, next_act, clip).unwrap();
        let half = ROWS / CRITICS;
        let part = |x: &Tensor, e: usize| x.narrow(0, e * half, half).unwrap();
        let share = |e: usize| Share {
            obs: part(obs, e),
            act: part(act, e),
        };
        let (shares, own) = ([share(0), share(1)], [part(&y, 0), part(&y, 1)]);
        let critics = self.critics.params().tensor();
        let losses = disjoint_losses(&self.critic, critics, &shares, &own).unwrap();
        let loss = Tensor::stack(&losses, 0).unwrap().sum_all().unwrap();
        self.critics.descend(&loss, self.config.critic_lr).unwrap();
    }
}

/// The field, and the products `K G`, `K A` and `Y A^T` of its matrices by candle.
fn field(c: &mut Criterion) {
    let stream = &mut Stream::new(0, "field");
    let mut group = c.benchmark_group("rldt-field");
    let (field, particles) = (
        RldtConfig::default().field(),
        RldtConfig::default().particles,
    );
    let mut points = || normals(stream, &[STATES, particles, DIMS.act]).unwrap();
    let (y, a, g) = (points(), points(), points());
    let last = Tensor::zeros((STATES, particles), y.dtype(), &Device::Cpu).unwrap();
    let transposed = a.t().unwrap().contiguous().unwrap();
    let k = y.matmul(&transposed).unwrap();
    group.bench_function("products", |b| {
        b.iter(|| {
            y.matmul(&transposed).unwrap();
            k.matmul(&g).unwrap();
            k.matmul(&a).unwrap()
        });
    });
    group.bench_function("field", |b| b.iter(|| field.at(&y, &a, &g, &last).unwrap()));
    group.finish();
}

fn steps(c: &mut Criterion) {
    let stream = &mut Stream::new(0, "rldt");
    let mut group = c.benchmark_group("rldt");
    group.sample_size(10);
    let mut networks = Networks::draw(stream);
    let obs = normals(stream, &[STATES, DIMS.obs]).unwrap();
    for n_steps in [8, 32] {
        group.bench_function(BenchmarkId::new("sampling", n_steps), |b| {
            b.iter(|| networks.sample(&obs, stream, n_steps));
        });
    }
    group.bench_function("policy-step", |b| {
        b.iter(|| networks.policy_step(&obs, stream));
    });
    let rows = normals(stream, &[ROWS, DIMS.obs]).unwrap();
    let act = normals(stream, &[ROWS, DIMS.act]).unwrap();
    let samples = networks.config.bootstrap_samples;
    let next_act = normals(stream, &[ROWS, samples, DIMS.act]).unwrap();
    group.bench_function("critic-step", |b| {
        b.iter(|| networks.critic_step(&rows, &act, &next_act));
    });
    group.finish();
}

criterion_group!(rldt, field, steps);
criterion_main!(rldt);
