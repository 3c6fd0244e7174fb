//! What was measured, as a table for a page or as JSON.

use super::Cli;
use super::peers::Peer;
use advect::machine::Machine;
use advect_benches::median;
use serde_json::json;

/// Steps per second of one environment, a figure per round.
pub struct Row {
    id: String,
    /// Advect on one thread and on several.
    pub own: [Vec<f64>; 2],
    /// As [`Peer::ALL`]; empty for peers that were not asked or do not have the environment.
    pub peers: [Vec<f64>; 3],
}

impl Row {
    /// Nothing measured yet.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            own: Default::default(),
            peers: Default::default(),
        }
    }

    fn best_envpool(&self) -> Option<f64> {
        let medians = self.peers[1..].iter().filter_map(|rates| median(rates));
        medians.max_by(f64::total_cmp)
    }
}

/// A table in Markdown: medians, and the ratios of advect on several threads.
pub fn table(cli: &Cli, rows: &[Row]) -> String {
    let mut text = format!(
        "| id | advect, 1 thread | advect, {} threads | Gymnasium, sync | EnvPool, sync | EnvPool, async | of Gymnasium | of the best EnvPool |\n\
         |---|---|---|---|---|---|---|---|\n",
        cli.threads
    );
    for row in rows {
        let all = row.own.iter().chain(&row.peers);
        let rates: Vec<String> = all.map(|rates| shown(median(rates))).collect();
        let ratio = |peer: Option<f64>| match median(&row.own[1]).zip(peer) {
            Some((own, peer)) => format!("{:.2}", own / peer),
            None => "-".to_owned(),
        };
        let (gymnasium, envpool) = (ratio(median(&row.peers[0])), ratio(row.best_envpool()));
        let id = &row.id;
        text += &format!(
            "| `{id}` | {} | {gymnasium} | {envpool} |\n",
            rates.join(" | ")
        );
    }
    let Cli {
        envs,
        seconds,
        rounds,
        ..
    } = cli;
    let machine = Machine::detect();
    text + &format!(
        "\nSteps per second, {envs} environments (EnvPool async: {} of which {envs} answer at a time), medians of {rounds} rounds of {seconds} s in turns; {}, {} cores.",
        2 * envs,
        machine.cpu,
        machine.cores
    )
}

fn shown(rate: Option<f64>) -> String {
    match rate {
        None => "-".to_owned(),
        Some(rate) if rate < 1000.0 => format!("{rate:.0}"),
        Some(rate) => format!("{:.1}k", rate / 1000.0),
    }
}

/// Every round of every contender.
pub fn json(cli: &Cli, rows: &[Row]) -> serde_json::Result<String> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let peers = Peer::ALL.iter().zip(&row.peers);
            json!({
                "id": row.id,
                "advect": { "1": row.own[0], cli.threads.to_string(): row.own[1] },
                "peers": peers.map(|(peer, rates)| json!({ "peer": peer, "rates": rates })).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::to_string(&json!({
        "rows": rows,
        "envs": cli.envs,
        "threads": cli.threads,
        "seconds": cli.seconds,
        "machine": Machine::detect(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_table_has_medians_and_ratios() {
        let cli = Cli::parse_from(["envs"]);
        let mut row = Row::new("Some-v1");
        row.own = [vec![30_000.0, 10_000.0, 20_000.0], vec![40_000.0; 3]];
        row.peers = [vec![500.0], vec![], vec![16_000.0]];
        let table = table(&cli, &[row, Row::new("Other-v1")]);
        assert!(
            table.contains("| `Some-v1` | 20.0k | 40.0k | 500 | - | 16.0k | 80.00 | 2.50 |"),
            "{table}"
        );
        assert!(
            table.contains("| `Other-v1` | - | - | - | - | - | - | - |"),
            "{table}"
        );
    }
}
