//! FM-IRL (arXiv 2510.09222): one velocity network is a teacher of the expert's states and actions, a discriminator that rewards a student, and
//! what the student's mean is pulled to.

pub mod config;
pub mod matching;
pub mod model;
pub mod replayed;
pub mod teacher;

pub use config::{FmIrlConfig, TeacherConfig};
pub use model::FlowTeacher;
pub use replayed::FmIrlSacConfig;
