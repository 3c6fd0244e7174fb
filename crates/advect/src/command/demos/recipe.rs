//! Which sets there are, as the commands that make them.

use crate::command::again::words;
use std::path::Path;

/// How a set is made.
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) about: String,
    /// `train` with these words first, if the set is taken from an agent.
    training: Option<Training>,
    /// Words of `collect` behind its source.
    collect: String,
}

/// An agent that sets are taken from. Sets with the same agent share the run.
#[derive(Clone, Copy)]
struct Training {
    env: &'static str,
    steps: u64,
}

/// The algorithm of all agents that sets are taken from: the cheapest per update.
const ALGO: &str = "sac";

impl Recipe {
    fn scripted(name: &str, about: &str, collect: &str) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            training: None,
            collect: format!("scripted {collect}"),
        }
    }

    /// The commands, to be run one after the other.
    pub(super) fn commands(&self, out: &Path) -> Vec<Vec<String>> {
        let mut commands = Vec::new();
        let mut collect = vec!["collect".to_owned()];
        if let Some(training) = self.training {
            commands.push(training.command(out));
            collect.push(training.run(out));
        }
        collect.extend(words(&self.collect));
        let file = out.join(format!("{}.hdf5", self.name));
        collect.extend(["--out".into(), file.display().to_string()]);
        commands.push(collect);
        commands
    }
}

impl Training {
    fn command(self, out: &Path) -> Vec<String> {
        let Self { env, steps } = self;
        let mut command = words(&format!(
            "train {ALGO} --env {env} --steps {steps} --set keep_checkpoints=1000 --resume --out"
        ));
        command.push(out.join("runs").display().to_string());
        command
    }

    fn run(self, out: &Path) -> String {
        let run = out.join("runs").join(format!("{ALGO}-{}-s0", self.env));
        run.display().to_string()
    }
}

/// Every set, in the order of the list.
pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = mazes();
    recipes.extend(modes());
    recipes.push(Recipe::scripted(
        "fetch-pick",
        "FM-IRL's Fetch-pick, about ten thousand transitions",
        "--env FetchPickAndPlaceDiffHoldout-v0 --noise 0.2 --successful --episodes 500",
    ));
    recipes.extend(kitchens());
    recipes.push(Recipe::scripted(
        "hand-rotate",
        "FM-IRL's Hand-rotate, about nine thousand transitions",
        "--env CustomHandManipulateBlockRotateZ-v0 --successful --episodes 380",
    ));
    recipes.push(ant_goal());
    for (name, env) in [
        ("hopper", "Hopper-v5"),
        ("walker2d", "Walker2d-v5"),
        ("halfcheetah", "HalfCheetah-v5"),
    ] {
        recipes.extend(locomotion(name, env));
    }
    recipes
}

/// FM-IRL's sets of the medium maze: starts and goals in a part of the cells, noise 0.5 on the actions, no episode shorter than 75 steps.
fn mazes() -> Vec<Recipe> {
    let set = |percent: u32| {
        let coverage = f64::from(percent) / 100.0;
        Recipe::scripted(
            &format!("maze2d-{percent}"),
            &format!("FM-IRL's Maze2d, starts and goals in {percent} % of the cells"),
            &format!(
                "--env Maze2dMedium-v0@coverage={coverage} --noise 0.5 --successful --min-length 76 --episodes 100"
            ),
        )
    };
    [25, 50, 75, 100].map(set).into()
}

/// The tasks with several good ways to act: all of them, none as well as it could be.
fn modes() -> Vec<Recipe> {
    let set = |(name, env, options): (&str, &str, &str)| {
        let about = format!("{env}, every good way to act in turn");
        Recipe::scripted(name, &about, &format!("--env {env} {options}"))
    };
    [
        (
            "two-modes",
            "TwoModeBandit-v0",
            "--noise 0.12 --episodes 4000",
        ),
        ("multi-goal", "MultiGoal-v0", "--noise 0.1 --episodes 400"),
        (
            "multi-goal-pixels",
            "MultiGoal-v0@pixels=40",
            "--noise 0.3 --episodes 40",
        ),
    ]
    .map(set)
    .into()
}

/// The kitchen's named sets and single tasks, with a little noise so that no two episodes are the same.
fn kitchens() -> Vec<Recipe> {
    let set = |(name, tasks): (&str, &str)| {
        let env = match tasks {
            "" => "FrankaKitchen-v1".to_owned(),
            tasks => format!("FrankaKitchen-v1/{tasks}"),
        };
        Recipe::scripted(
            &format!("kitchen-{name}"),
            &format!("FrankaKitchen-v1, {}", name.replace('-', " ")),
            &format!("--env {env} --noise 0.1 --successful --episodes 100"),
        )
    };
    [
        ("all", ""),
        ("complete", "complete"),
        ("mixed", "mixed"),
        ("microwave", "microwave"),
        ("kettle", "kettle"),
        ("light-switch", "light_switch"),
        ("slide-cabinet", "slide_cabinet"),
        ("hinge-cabinet", "hinge_cabinet"),
        ("bottom-burner", "bottom_burner"),
        ("top-burner", "top_burner"),
    ]
    .map(set)
    .into()
}

/// FM-IRL's task whose expert is trained.
fn ant_goal() -> Recipe {
    Recipe {
        name: "ant-goal-50".into(),
        about: "FM-IRL's Ant-goal, every second sector of the goals".into(),
        training: Some(Training {
            env: "AntGoal-v0",
            steps: 500_000,
        }),
        collect:
            "--skill expert --explore --successful --env AntGoal-v0@coverage=0.5 --episodes 2000"
                .into(),
    }
}

/// D4RL's levels of skill, and FM-IRL's 25 full episodes.
fn locomotion(name: &str, env: &'static str) -> Vec<Recipe> {
    let training = Some(Training {
        env,
        steps: 500_000,
    });
    let taken = |level: &str, about: &str, collect: &str| Recipe {
        name: format!("{name}-{level}"),
        about: about.into(),
        training,
        collect: collect.into(),
    };
    let mut random = taken(
        "random",
        "uniform random actions",
        &format!("random --env {env} --episodes 1000"),
    );
    random.training = None;
    vec![
        random,
        taken(
            "medium",
            "an agent a third of the way to the best",
            "--skill medium --explore --episodes 1000",
        ),
        taken(
            "medium-replay",
            "all that the medium agent saw while it learnt",
            "--skill medium --replay",
        ),
        taken(
            "expert",
            "the best agent",
            "--skill expert --explore --episodes 1000",
        ),
        taken(
            "expert-25",
            "25 full episodes of the best agent, as FM-IRL uses",
            "--skill expert --min-length 1000 --episodes 25",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::args::{Cli, Verb};
    use advect::env_source::EnvSource;
    use clap::Parser;

    /// The environment of a command, checked.
    fn env_of(words: &[String]) -> Option<String> {
        let program = std::iter::once("advect").chain(words.iter().map(String::as_str));
        let env = match Cli::try_parse_from(program).unwrap().verb {
            Verb::Train(args) => args.env,
            Verb::Collect(args) => args.actor.env,
            _ => panic!("{words:?}"),
        };
        env.inspect(|env| EnvSource::new(env, None).check_known().unwrap())
    }

    #[test]
    fn every_command_can_be_typed() {
        for recipe in recipes() {
            let commands = recipe.commands(Path::new("demos"));
            let envs = commands.iter().filter_map(|words| env_of(words)).count();
            assert!(envs >= 1, "{}", recipe.name);
        }
    }

    #[test]
    fn scripted_sets_have_an_expert() {
        for recipe in recipes() {
            let words = recipe.commands(Path::new("demos")).remove(0);
            if words[1] == "scripted" {
                let env = env_of(&words).unwrap();
                let expert = advect::envs::experts::expert_of_state(&env).unwrap();
                assert!(expert.is_some(), "{env}");
            }
        }
    }

    #[test]
    fn the_run_that_is_trained_is_the_run_that_is_recorded() {
        let config = advect::rl::RunConfig {
            algo: ALGO.into(),
            env: "Hopper-v5".into(),
            ..Default::default()
        };
        let training = Training {
            env: "Hopper-v5",
            steps: 1,
        };
        let run = training.run(Path::new("demos"));
        assert_eq!(run, format!("demos/runs/{}", config.run_name()));
    }
}
