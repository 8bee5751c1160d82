//! The `world` command: build, up, down, env, image.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use world::{DEFAULT, Result, World};

/// A real cluster and its vendors on one machine
#[derive(Parser)]
#[command(name = "world")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build and install what worlds are made of: everything, or only the parts named
    Build { parts: Vec<String> },
    /// Bring a world up, or repair it
    Up(Name),
    /// Take a world down and remove every trace of it
    Down(Name),
    /// Print the variables of a world, for `eval`
    Env(Name),
    /// Install the operator by its chart, with an account at every vendor of the world
    Platform(Name),
    /// Take csvboard live, from nothing: build, up, platform, and the application's manifest
    Demo {
        #[command(flatten)]
        name: Name,
        /// The manifest, in place of examples/s0-csvboard.yaml
        #[arg(long)]
        manifest: Option<PathBuf>,
    },
    /// Work with the images of the node
    #[command(subcommand)]
    Image(Image),
}

#[derive(Subcommand)]
enum Image {
    /// Build images (golive, hello, csvboard, or NAME:TAG for another version; all of them where none is named), print
    /// the paths of their archives, and import them into the world if it is up
    Build {
        images: Vec<String>,
        #[command(flatten)]
        name: Name,
    },
    /// Import an OCI image archive
    Import {
        archive: PathBuf,
        #[command(flatten)]
        name: Name,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Which world
    #[arg(long, default_value = DEFAULT)]
    name: String,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("world: {error}");
            ExitCode::from(2)
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Build { parts } => world::install::build(&parts),
        Task::Up(Name { name }) => world::up(&name).map(|world| told(&world)),
        Task::Down(Name { name }) => world::down(&name),
        Task::Env(Name { name }) => World::named(&name)?.env_lines().map(|text| print!("{text}")),
        Task::Platform(Name { name }) => World::named(&name)?.set_up_platform(),
        Task::Demo { name, manifest } => world::demo::demo(&name.name, &manifest.unwrap_or_else(world::demo::example)),
        Task::Image(Image::Build { images, name }) => build_images(&images, &World::named(&name.name)?),
        Task::Image(Image::Import { archive, name }) => World::named(&name.name)?.import_image(&archive),
    }
}

fn told(world: &World) {
    eprintln!("source {}", world.dir.join("env").display());
}

fn build_images(images: &[String], world: &World) -> Result<()> {
    for archive in world::image::build_named(images)? {
        println!("{}", archive.display());
        if world.network.is_some() {
            world.import_image(&archive)?;
        }
    }
    Ok(())
}
