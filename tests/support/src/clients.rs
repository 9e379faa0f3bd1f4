//! The clients of the matrix: kubectl, Helm and raw requests.

pub mod helm;
pub mod kubectl;
pub mod raw;

use super::client::Client;

/// All of them.
pub fn all() -> Vec<Box<dyn Client>> {
    let mut clients = kubectl::clients();
    clients.extend(helm::clients());
    clients.extend(raw::clients());
    clients
}
