//! The model of the API server and a real one are asked the same, in random sequences: they must answer alike.

#[path = "model/asks.rs"]
mod asks;
#[path = "model/sides.rs"]
mod sides;

use std::error::Error;

use sim::cluster::Cluster;
use sim::portrait;
use world::World;

use asks::{Ask, Asker};
use sides::{Model, Real, Side, Told};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many sequences of requests there are, each in a namespace of its own, and how long each is.
const SEQUENCES: u64 = 20;
const LENGTH: usize = 40;

fn name() -> String {
    std::env::var("WORLD_NAME").map_or_else(|_| "model".into(), |name| format!("{name}-model"))
}

/// A real API server with golive's kinds and nobody else at work.
fn server() -> Outcome<World> {
    world::install::build(&["kubernetes".into(), "gateway".into()])?;
    world::down(&name())?;
    let world = world::control_plane(&name())?;
    world.apply(&golive::api::crd_yaml()?)?;
    world.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
    Ok(world)
}

#[tokio::test]
async fn the_model_answers_as_a_real_api_server_does() -> Outcome<()> {
    let world = server()?;
    let mut real = Real::of(&world).await?;
    let mut model = Model(Cluster::default());
    let (mut answered, mut differ) = ([0; 2], Vec::new());
    for seed in 0..SEQUENCES {
        let told = sequence(seed, &mut real, &mut model).await?;
        told.answered.iter().for_each(|code| answered[usize::from(*code >= 400)] += 1);
        differ.extend(told.differ);
    }
    let events = (real.events().await?, model.events().await?);
    world::down(&name())?;
    assert!(differ.is_empty(), "{} sequences differ; the first:\n{}", differ.len(), differ[0]);
    assert_eq!(events.0, events.1, "watches tell different stories");
    // Both kinds of answers were compared, each many times.
    assert!(answered.iter().all(|count| *count > 80), "{answered:?} done and refused");
    Ok(())
}

/// What came of a sequence.
struct Sequence {
    answered: Vec<u16>,
    differ: Option<String>,
}

/// Asks both until they differ.
async fn sequence(seed: u64, real: &mut Real, model: &mut Model) -> Outcome<Sequence> {
    let mut asker = Asker::new(seed);
    let mut asked: Vec<Ask> = vec![asker.room()];
    let mut answered = Vec::new();
    for _ in 0..LENGTH {
        let ask = asked[asked.len() - 1].clone();
        let (a, b) = (real.ask(&ask).await?, model.ask(&ask).await?);
        answered.push(a.code);
        if a != b {
            return Ok(Sequence { answered, differ: Some(story(seed, &asked, (&a, &b))) });
        }
        asked.push(asker.next());
    }
    Ok(Sequence { answered, differ: None })
}

fn story(seed: u64, asked: &[Ask], (real, model): (&Told, &Told)) -> String {
    let last = &asked[asked.len() - 1];
    let steps: Vec<String> = asked.iter().filter(|ask| ask.concerns(last)).map(Ask::line).collect();
    let seen = |told: &Told| format!("{} {} moved={}", told.code, told.reason, told.moved);
    let differences = portrait::differences(&model.object, &real.object).join("\n    ");
    format!(
        "seed {seed}:\n{}\n  the server says {}, the model {}; the server's object has\n    {differences}",
        steps.join("\n"),
        seen(real),
        seen(model),
    )
}
