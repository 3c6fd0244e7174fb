//! The maps of the mazes: cells, free or wall, and ways between them.

use std::collections::VecDeque;

/// A cell: row and column of the map. The row goes with `x`, the column with `y`.
pub type Cell = [usize; 2];

/// How far the centre of cell `(i, j)` lies from the point `(i, j)` in both coordinates.
///
/// In D4RL the ball's coordinates begin at 1.2 in the world and the cells at 1.
pub const CENTRE_OFFSET: f64 = -0.2;

const U_MAZE: &[&str] = &["#####", "#...#", "###.#", "#...#", "#####"];

const MEDIUM: &[&str] = &[
    "########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#..#", "########",
];

const LARGE: &[&str] = &[
    "############",
    "#....#.....#",
    "#.##.#.#.#.#",
    "#......#...#",
    "#.####.###.#",
    "#..#.#.....#",
    "##.#.#.#.###",
    "#..#...#...#",
    "############",
];

/// Which map; the maps are those of D4RL and Gymnasium-Robotics, printed in `src/embedded/maze2d/grid.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MazeLayout {
    /// 5 x 5 cells, 7 of them free: one corridor with two corners.
    UMaze,
    /// 8 x 8 cells, 26 of them free: the map of FM-IRL's Maze2d.
    Medium,
    /// 9 x 12 cells, 46 of them free.
    Large,
}

impl MazeLayout {
    /// Every map.
    pub const ALL: [Self; 3] = [Self::UMaze, Self::Medium, Self::Large];

    fn rows(self) -> &'static [&'static str] {
        match self {
            Self::UMaze => U_MAZE,
            Self::Medium => MEDIUM,
            Self::Large => LARGE,
        }
    }

    /// Rows and columns.
    pub fn size(self) -> [usize; 2] {
        let rows = self.rows();
        [rows.len(), rows.first().map_or(0, |row| row.len())]
    }

    /// Whether the ball can be in `cell`; what lies outside of the map is wall.
    pub fn is_free(self, cell: Cell) -> bool {
        let row = self.rows().get(cell[0]);
        row.is_some_and(|row| row.as_bytes().get(cell[1]) == Some(&b'.'))
    }

    /// The free cells, row by row.
    pub fn free_cells(self) -> Vec<Cell> {
        let [rows, columns] = self.size();
        let cells = (0..rows).flat_map(|i| (0..columns).map(move |j| [i, j]));
        cells.filter(|cell| self.is_free(*cell)).collect()
    }

    /// The cell that `position` lies in; `None` left of or below the map, or for a position that is not finite.
    pub fn cell_of(self, position: [f64; 2]) -> Option<Cell> {
        let [i, j] = position.map(|coordinate| (coordinate - CENTRE_OFFSET).round());
        let inside = i >= 0.0 && j >= 0.0 && i.is_finite() && j.is_finite();
        inside.then_some([i as usize, j as usize])
    }

    /// The cell after `from` on a shortest way to `to`: `to` itself next to it or in it, `None` without a way.
    ///
    /// Of several, the one that a search from `to` over up, down, left and right finds first.
    pub fn next_cell(self, from: Cell, to: Cell) -> Option<Cell> {
        if !self.is_free(from) || !self.is_free(to) || from == to {
            return (from == to && self.is_free(to)).then_some(to);
        }
        let [rows, columns] = self.size();
        let mut seen = vec![false; rows * columns];
        let mut queue = VecDeque::from([to]);
        while let Some(cell) = queue.pop_front() {
            for next in neighbours(cell).into_iter().filter(|c| self.is_free(*c)) {
                if next == from {
                    return Some(cell);
                }
                let index = next[0] * columns + next[1];
                if !std::mem::replace(&mut seen[index], true) {
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// The middle of `cell` in the ball's coordinates.
pub fn centre(cell: Cell) -> [f64; 2] {
    cell.map(|index| index as f64 + CENTRE_OFFSET)
}

/// The four cells beside `cell`; beyond index 0 it is a cell that no map has.
pub(super) fn neighbours([i, j]: Cell) -> [Cell; 4] {
    let (up, left) = (i.wrapping_sub(1), j.wrapping_sub(1));
    [
        [up, j],
        [i.wrapping_add(1), j],
        [i, left],
        [i, j.wrapping_add(1)],
    ]
}

#[cfg(test)]
mod tests {
    use super::{MazeLayout, centre, neighbours};

    #[test]
    fn maps_are_closed_rectangles_in_one_piece() {
        for (layout, free) in MazeLayout::ALL.into_iter().zip([7, 26, 46]) {
            let [rows, columns] = layout.size();
            assert!(layout.rows().iter().all(|row| row.len() == columns));
            let cells = layout.free_cells();
            assert_eq!(cells.len(), free, "{layout:?}");
            for cell in &cells {
                assert!((1..rows - 1).contains(&cell[0]) && (1..columns - 1).contains(&cell[1]));
                assert!(layout.next_cell(*cell, cells[0]).is_some(), "{cell:?}");
                assert_eq!(layout.cell_of(centre(*cell)), Some(*cell));
            }
        }
    }

    #[test]
    fn ways_go_through_neighbours_and_are_shortest() {
        // the two ends of the U are 6 cells apart
        let (mut cell, end) = ([1, 1], [3, 1]);
        for left in (0..6).rev() {
            let next = MazeLayout::UMaze.next_cell(cell, end).unwrap();
            assert!(neighbours(cell).contains(&next) && MazeLayout::UMaze.is_free(next));
            assert_eq!(next == end, left == 0);
            cell = next;
        }
        assert_eq!(MazeLayout::UMaze.next_cell(end, end), Some(end));
        assert_eq!(MazeLayout::UMaze.next_cell([0, 0], end), None);
        assert_eq!(MazeLayout::UMaze.next_cell([usize::MAX, 0], end), None);
    }

    #[test]
    fn positions_outside_of_the_plane_have_no_cell() {
        for position in [[-1.0, 1.0], [1.0, f64::NAN], [f64::INFINITY, 1.0]] {
            assert_eq!(MazeLayout::Large.cell_of(position), None);
        }
        let far = MazeLayout::Large.cell_of([1e300, 1.0]).unwrap();
        assert!(!MazeLayout::Large.is_free(far));
    }
}
