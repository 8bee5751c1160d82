//! Stories: each file below `stories` is a script with the transcript of what came of it.
//! `GOLDEN=write cargo test -p sim --test stories` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use sim::story;

fn stories() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_story_goes_as_it_is_told() {
    assert!(stories().len() > 5);
    for file in stories() {
        let told = fs::read_to_string(&file).unwrap();
        let played = story::play(&told).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if std::env::var("GOLDEN").is_ok_and(|mode| mode == "write") {
            fs::write(&file, &played).unwrap();
        }
        assert_eq!(played, fs::read_to_string(&file).unwrap(), "{}", file.display());
    }
}

#[test]
fn a_line_that_is_no_command_is_named() {
    for line in ["> fly", "> apply shop {spec}", "> fail often x 500 POST", "> pass 3 moons", "> lose nobody x"] {
        let refused = story::play(line).unwrap_err();
        assert!(refused.contains(line.trim_start_matches("> ").split(' ').next_back().unwrap()), "{refused}");
    }
}
