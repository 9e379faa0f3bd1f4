//! One shell per subcommand: read, call the core, write.

pub mod doctor;
pub mod generate;
pub mod hash;
pub mod mutate;
pub mod review;
pub mod serve;
