//! `rejob serve` over real TLS connections: what it answers to whatever it is sent, what it takes
//! on at most, how it goes away, and the program as a process.

mod client;
mod drain;
mod limits;
mod malformed;
mod process;
mod stub;
