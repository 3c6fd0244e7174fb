//! Updates of the packages that people use today on the same GPU, where this machine's Python has them.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::super::print;
use super::updates::DIMS;

/// What measures them; carried along, for machines without these sources.
const SCRIPT: &str = include_str!("../../../../../scripts/update_peers.py");
const PACKAGES: [&str; 2] = ["sb3", "sbx"];
const ALGOS: [&str; 2] = ["sac", "td3"];
/// Widths of our own networks.
const HIDDEN: [usize; 2] = [256, 256];

/// One package's update of one algorithm.
#[derive(Serialize)]
pub(super) struct Peer {
    package: &'static str,
    algo: &'static str,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// Seconds of an update.
    Value(f64),
    /// Why there are none.
    Missing(String),
}

/// Asks the Python of `$ADVECT_PYTHON`, else `python3`, about all of them.
pub(super) fn run(updates: u32) -> anyhow::Result<Vec<Peer>> {
    let contests = || {
        PACKAGES
            .iter()
            .flat_map(|package| ALGOS.map(|algo| (*package, algo)))
    };
    let mut requests = String::new();
    for (package, algo) in contests() {
        let (obs_dim, act_dim) = (DIMS.obs, DIMS.act);
        let request = serde_json::json!({
            "package": package, "algo": algo, "obs_dim": obs_dim, "act_dim": act_dim,
            "hidden": HIDDEN, "updates": updates.next_multiple_of(2),
        });
        requests.push_str(&format!("{request}\n"));
    }
    let said = ask(&requests);
    let mut answers = said.lines().map(serde_json::from_str::<Answer>);
    let mut peers = Vec::new();
    for (package, algo) in contests() {
        let no_answer = || Answer::Missing("Python gave no answer".into());
        let answer = answers
            .next()
            .and_then(Result::ok)
            .unwrap_or_else(no_answer);
        print(&match &answer {
            Answer::Value(seconds) => {
                format!("{package} {algo}: {:.3} ms per update", 1e3 * seconds)
            }
            Answer::Missing(why) => format!("{package} {algo}: not measured ({why})"),
        })?;
        peers.push(Peer {
            package,
            algo,
            answer,
        });
    }
    Ok(peers)
}

/// The script's answers, a line each; nothing where it does not start.
fn ask(requests: &str) -> String {
    let talked = || -> anyhow::Result<String> {
        let python = std::env::var("ADVECT_PYTHON").unwrap_or_else(|_| "python3".into());
        let mut child = Command::new(python)
            .args(["-c", SCRIPT, "--installed"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = child.stdin.take().context("no pipe")?;
        input.write_all(requests.as_bytes())?;
        drop(input);
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
    };
    talked().unwrap_or_default()
}
