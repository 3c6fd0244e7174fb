//! The mazes of gymnasium-robotics 1.4.2: their cells, and which of them begin or end an episode.

use crate::EnvError;

/// How far apart an agent's time limits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Medium,
    Large,
}

/// Which cells begin an episode and which are goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// Every free cell is both.
    Anywhere,
    /// One marked cell begins, the others are goals.
    Goals,
    /// Every marked cell is both.
    GoalsAndStarts,
}

/// A maze.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Layout {
    /// Its name in ids.
    pub(super) name: &'static str,
    pub(super) size: Size,
    /// `#` is a wall, `r` the marked cell that begins, `g` a marked goal.
    rows: &'static [&'static str],
    places: Places,
}

const U_MAZE: &[&str] = &[
    "#####", //
    "#...#", "###.#", "#...#", "#####",
];

const OPEN: &[&str] = &[
    "#######", //
    "#rgggg#", "#ggggg#", "#ggggg#", "#######",
];

const MEDIUM: &[&str] = &[
    "########", //
    "#r.##..#", "#..#..g#", "##...###", "#..#...#", "#g#..#.#", "#...#g.#", "########",
];

const LARGE: &[&str] = &[
    "############",
    "#r...#g....#",
    "#.##.#.#.#.#",
    "#....g.#..g#",
    "#.####.###.#",
    "#.g#.#.....#",
    "##.#.#.#.###",
    "#..#g.g#.g.#",
    "############",
];

const fn layout(
    name: &'static str,
    size: Size,
    rows: &'static [&'static str],
    places: Places,
) -> Layout {
    Layout {
        name,
        size,
        rows,
        places,
    }
}

/// Every maze.
pub(super) const LAYOUTS: [Layout; 10] = [
    layout("UMaze", Size::Small, U_MAZE, Places::Anywhere),
    layout("Open", Size::Small, OPEN, Places::Anywhere),
    layout("Open_Diverse_G", Size::Small, OPEN, Places::Goals),
    layout("Open_Diverse_GR", Size::Small, OPEN, Places::GoalsAndStarts),
    layout("Medium", Size::Medium, MEDIUM, Places::Anywhere),
    layout("Medium_Diverse_G", Size::Medium, MEDIUM, Places::Goals),
    layout(
        "Medium_Diverse_GR",
        Size::Medium,
        MEDIUM,
        Places::GoalsAndStarts,
    ),
    layout("Large", Size::Large, LARGE, Places::Anywhere),
    layout("Large_Diverse_G", Size::Large, LARGE, Places::Goals),
    layout(
        "Large_Diverse_GR",
        Size::Large,
        LARGE,
        Places::GoalsAndStarts,
    ),
];

impl Layout {
    /// Centres of the cells that `keep`, in a centred maze of cells of this width.
    fn centres(&self, width: f64, keep: impl Fn(u8) -> bool) -> Vec<[f64; 2]> {
        let columns = self.rows.first().map_or(0, |row| row.len());
        let x_centre = columns as f64 / 2.0 * width;
        let y_centre = self.rows.len() as f64 / 2.0 * width;
        let mut centres = Vec::new();
        for (i, row) in self.rows.iter().enumerate() {
            for (j, _) in row.bytes().enumerate().filter(|(_, cell)| keep(*cell)) {
                let x = (j as f64 + 0.5) * width - x_centre;
                let y = y_centre - (i as f64 + 0.5) * width;
                centres.push([x, y]);
            }
        }
        centres
    }

    /// Centres of the cells where an episode may begin.
    pub(super) fn starts(&self, width: f64) -> Vec<[f64; 2]> {
        self.centres(width, |cell| match self.places {
            Places::Anywhere => cell != b'#',
            Places::Goals => cell == b'r',
            Places::GoalsAndStarts => matches!(cell, b'r' | b'g'),
        })
    }

    /// Centres of the cells where a goal may lie.
    pub(super) fn goals(&self, width: f64) -> Vec<[f64; 2]> {
        self.centres(width, |cell| match self.places {
            Places::Anywhere => cell != b'#',
            Places::Goals => cell == b'g',
            Places::GoalsAndStarts => matches!(cell, b'r' | b'g'),
        })
    }

    /// The agent's MJCF with a box for each wall, behind all other geoms of the world.
    ///
    /// # Errors
    /// [`EnvError::MujocoModel`] if the agent's text has no world.
    pub(super) fn built_around(
        &self,
        agent: &str,
        width: f64,
        height: f64,
    ) -> Result<String, EnvError> {
        let end = agent
            .rfind("</worldbody>")
            .ok_or_else(|| EnvError::MujocoModel {
                model: self.name.to_owned(),
                reason: "the agent's model has no worldbody".to_owned(),
            })?;
        let (side, z) = (0.5 * width, height / 2.0 * width);
        let walls = self.centres(width, |cell| cell == b'#');
        let boxes = walls.iter().map(|[x, y]| {
            format!(
                r#"<geom type="box" pos="{x} {y} {z}" size="{side} {side} {z}" contype="1" conaffinity="1"/>"#
            )
        });
        let (head, tail) = agent.split_at(end);
        Ok(format!("{head}{}{tail}", boxes.collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Layout {
        LAYOUTS
            .into_iter()
            .find(|layout| layout.name == name)
            .unwrap()
    }

    #[test]
    fn mazes_are_closed_rectangles() {
        for layout in LAYOUTS {
            let columns = layout.rows[0].len();
            assert!(layout.rows.iter().all(|row| row.len() == columns));
            let closed = |row: &str| row.starts_with('#') && row.ends_with('#');
            assert!(layout.rows.iter().all(|row| closed(row)));
            let full = "#".repeat(columns);
            assert_eq!(layout.rows.first(), layout.rows.last());
            assert_eq!(layout.rows[0], full);
        }
    }

    #[test]
    fn cells_begin_and_end_episodes_as_marked() {
        for (name, starts, goals) in [
            ("UMaze", 7, 7),
            ("Open", 15, 15),
            ("Open_Diverse_G", 1, 14),
            ("Open_Diverse_GR", 15, 15),
            ("Medium", 26, 26),
            ("Medium_Diverse_G", 1, 3),
            ("Medium_Diverse_GR", 4, 4),
            ("Large", 46, 46),
            ("Large_Diverse_G", 1, 7),
            ("Large_Diverse_GR", 8, 8),
        ] {
            let layout = named(name);
            assert_eq!(layout.starts(1.0).len(), starts, "{name}");
            assert_eq!(layout.goals(1.0).len(), goals, "{name}");
        }
        assert_eq!(named("Medium_Diverse_G").starts(4.0), [[-10.0, 10.0]]);
        assert_eq!(named("UMaze").starts(1.0)[0], [-1.0, 1.0]);
    }

    #[test]
    fn walls_stand_in_the_world() {
        let layout = named("UMaze");
        let text = layout
            .built_around("<mujoco><worldbody></worldbody></mujoco>", 4.0, 0.5)
            .unwrap();
        assert_eq!(text.matches("<geom").count(), 18);
        assert!(text.contains(r#"pos="-8 8 1" size="2 2 1""#), "{text}");
        assert!(text.ends_with("</worldbody></mujoco>"));
        let error = layout.built_around("<mujoco/>", 4.0, 0.5).unwrap_err();
        assert!(error.to_string().contains("worldbody"), "{error}");
    }
}
