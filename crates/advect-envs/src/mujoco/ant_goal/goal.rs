//! Where goals lie: on a half-circle that is cut into sectors, some of which demonstrations leave out.

use std::f64::consts::PI;

use advect_rng::Stream;

/// Distance of a goal from the origin.
pub(super) const RADIUS: f64 = 5.0;
/// Sectors of the half-circle.
const COUNT: f64 = 20.0;

/// Each part of the half-circle that goals may cover, and its sectors.
pub(super) const SECTORS: [(f64, &[u64]); 4] = [
    (0.25, &[2, 6, 10, 14, 18]),
    (0.5, &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]),
    (0.75, &[0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19]),
    (
        1.0,
        &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
        ],
    ),
];

/// A goal in one of the sectors, each of its angles as likely as any other.
pub(super) fn draw(rng: &mut Stream, sectors: &[u64]) -> [f64; 2] {
    let index = usize::try_from(rng.below(sectors.len() as u64)).unwrap_or(0);
    let sector = sectors.get(index).copied().unwrap_or_default();
    let angle = PI * (sector as f64 + rng.uniform_f64()) / COUNT;
    [RADIUS * angle.cos(), RADIUS * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_cover_their_sectors_and_no_others() {
        for (part, sectors) in SECTORS {
            let (mut rng, mut seen) = (Stream::new(0, "goals"), [0; 20]);
            for _ in 0..2000 {
                let [x, y] = draw(&mut rng, sectors);
                assert!((x.hypot(y) - RADIUS).abs() < 1e-12 && y >= 0.0);
                seen[(y.atan2(x) / PI * COUNT) as usize] += 1;
            }
            for (sector, count) in seen.into_iter().enumerate() {
                let covered = sectors.contains(&(sector as u64));
                let mean = 2000 / sectors.len();
                let fits = if covered {
                    (mean / 2..2 * mean).contains(&count)
                } else {
                    count == 0
                };
                assert!(fits, "{part}: sector {sector} was drawn {count} times");
            }
        }
    }
}
