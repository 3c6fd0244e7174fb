//! `advect demos`: sets of demonstrations, each made by one command.

mod recipe;

use super::again::step;
use super::print;
use anyhow::{Context, bail};
use clap::Args;
use recipe::{Recipe, recipes};
use std::path::{Path, PathBuf};

/// Arguments of `demos`.
#[derive(Debug, Args)]
pub struct DemosArgs {
    /// The set to make [default: list them with their commands]
    pub name: Option<String>,
    /// Folder of the sets, and of the runs that some are taken from
    #[arg(long, value_name = "DIR", default_value = "demos")]
    pub out: PathBuf,
}

/// `advect demos`: makes a set by the commands that the list shows, or lists them.
pub fn run(args: &DemosArgs) -> anyhow::Result<()> {
    let recipes = recipes();
    let Some(name) = &args.name else {
        return recipes
            .iter()
            .try_for_each(|r| print(&listed(r, &args.out)));
    };
    let Some(recipe) = recipes.iter().find(|recipe| recipe.name == *name) else {
        let names: Vec<&str> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
        bail!("there is no set `{name}`; there are {}", names.join(", "));
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create {}", args.out.display()))?;
    recipe.commands(&args.out).iter().try_for_each(|c| step(c))
}

fn listed(recipe: &Recipe, out: &Path) -> String {
    let commands = recipe.commands(out);
    let lines = commands
        .iter()
        .map(|words| format!("    advect {}", words.join(" ")));
    let lines: Vec<String> = lines.collect();
    format!("{}: {}\n{}", recipe.name, recipe.about, lines.join("\n"))
}
