//! The commands that run inside pods, as processes, with real SQLite, real restic and a real S3 server.

#[path = "jobs/backup.rs"]
mod backup;
#[path = "jobs/look.rs"]
mod look;
#[path = "jobs/restore.rs"]
mod restore;
#[path = "jobs/s3.rs"]
mod s3;
#[path = "jobs/smoke.rs"]
mod smoke;
#[path = "jobs/solve.rs"]
mod solve;
#[path = "jobs/support.rs"]
mod support;
