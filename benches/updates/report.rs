//! What was measured, as a table for a page or as JSON.

use super::Cli;
use super::peers::Package;
use advect::machine::Machine;
use advect_benches::median;
use serde_json::json;

/// Seconds per update of one algorithm, a figure per round.
pub struct Row {
    algo: &'static str,
    hidden: Vec<i64>,
    /// Advect.
    pub own: Vec<f64>,
    /// As [`Package::ALL`]; empty for a package that was not asked or does not have the algorithm.
    pub peers: [Vec<f64>; 2],
}

impl Row {
    /// Nothing measured yet.
    pub fn new(algo: &'static str, hidden: &[i64]) -> Self {
        Self {
            algo,
            hidden: hidden.to_vec(),
            own: Vec::new(),
            peers: Default::default(),
        }
    }

    /// Median over the rounds of the peer's time over ours in the same round.
    fn ratio(&self, peer: &[f64]) -> Option<f64> {
        let ratios: Vec<f64> = peer.iter().zip(&self.own).map(|(p, o)| p / o).collect();
        median(&ratios)
    }
}

/// A table in Markdown: medians in milliseconds, and how many times longer the peers take.
pub fn table(cli: &Cli, rows: &[Row]) -> String {
    let mut text = "| algorithm | networks | advect | Stable-Baselines3 | SBX | SB3 / advect | SBX / advect |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let times = std::iter::once(&row.own).chain(&row.peers);
        let times: Vec<String> = times.map(|seconds| milliseconds(seconds)).collect();
        let ratios = row.peers.each_ref().map(|peer| match row.ratio(peer) {
            Some(ratio) => format!("{ratio:.2}"),
            None => "-".to_owned(),
        });
        let widths: Vec<String> = row.hidden.iter().map(i64::to_string).collect();
        text += &format!(
            "| {} | {} | {} | {} |\n",
            row.algo,
            widths.join(", "),
            times.join(" | "),
            ratios.join(" | ")
        );
    }
    let Cli {
        obs_dim,
        act_dim,
        threads,
        updates,
        rounds,
        preset,
        ..
    } = cli;
    let machine = Machine::detect();
    text + &format!(
        "\nTime per update, batch 256, {obs_dim} observations, {act_dim} actions, {threads} threads, preset {preset}; medians of {rounds} rounds of \
         {updates} updates in turns, ratios within the rounds; {}, {} cores. The peers draw their minibatch from a replay within the time.",
        machine.cpu, machine.cores
    )
}

fn milliseconds(seconds: &[f64]) -> String {
    median(seconds).map_or("-".to_owned(), |median| format!("{:.2} ms", 1e3 * median))
}

/// Every round of every contender.
pub fn json(cli: &Cli, rows: &[Row]) -> serde_json::Result<String> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let peers = Package::ALL.iter().zip(&row.peers);
            json!({
                "algo": row.algo,
                "hidden": row.hidden,
                "advect": row.own,
                "peers": peers.map(|(peer, seconds)| json!({ "package": peer, "seconds": seconds })).collect::<Vec<_>>(),
            })
        })
        .collect();
    serde_json::to_string(&json!({
        "rows": rows,
        "obs_dim": cli.obs_dim,
        "act_dim": cli.act_dim,
        "threads": cli.threads,
        "preset": cli.preset,
        "machine": Machine::detect(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_table_has_medians_and_ratios_within_rounds() {
        let cli = Cli::parse_from(["peers"]);
        let mut row = Row::new("sac", &[256, 256]);
        row.own = vec![0.004, 0.010, 0.005];
        row.peers = [vec![0.008, 0.030, 0.005], vec![]];
        let table = table(&cli, &[row]);
        let line = "| sac | 256, 256 | 5.00 ms | 8.00 ms | - | 2.00 | - |";
        assert!(table.contains(line), "{table}");
    }
}
