//! The operator in a simulated world: one thread, a paused clock, faults anywhere.
//!
//! In reading order: [`cluster`] (a model of the API server), [`nature`] (kubelet and controllers), [`authority`] (a CA
//! that speaks ACME), [`place`] (all of it with the vendors, as one value that can be copied), [`run`] (the operator in
//! a place, until nothing changes any more), [`law`] and [`secrets`] (what must hold afterwards), [`search`] (the
//! plans that try to break it; [`walk`] and [`words`] make the ways over specs), [`storm`] (many applications at once) and [`drift`]
//! (what others undo at a vendor), [`laws`] (all of them, by id); and [`story`], which tells a run in words.

pub mod authority;
pub mod cluster;
pub mod doors;
pub mod drift;
pub mod flaw;
pub mod law;
pub mod laws;
pub mod nature;
pub mod page;
pub mod place;
pub mod portrait;
pub mod run;
pub mod saved;
pub mod script;
pub mod search;
pub mod secrets;
pub mod storm;
pub mod story;
pub mod trouble;
pub mod walk;
pub mod words;
