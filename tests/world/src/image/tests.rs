use super::*;
use crate::command::run;

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("image-{name}-{}", std::process::id()));
    fresh(&dir).unwrap();
    dir
}

fn image(layers: Vec<Layer>) -> Image {
    let env = vec![("PATH".to_owned(), "/bin".to_owned())];
    Image { name: "golive.test/x:1".into(), layers, env, user: "1:1".into(), ..Image::default() }
}

fn listing(archive: &Path) -> String {
    run("tar", [Path::new("-tvf"), archive]).unwrap()
}

#[test]
fn a_folder_of_sources_lands_at_its_path_without_what_is_left_out() {
    let dir = scratch("at");
    for folder in ["source/variants", "source/__pycache__", "source/tests/__pycache__"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for file in ["source/app.py", "source/variants/x", "source/tests/variants", "source/tests/__pycache__/x.pyc"] {
        fs::write(dir.join(file), "text").unwrap();
    }
    std::os::unix::fs::symlink("./app.py", dir.join("source/link")).unwrap();
    let packed = Layer::new(dir.join("source")).at("/app").without(&["variants"]).pack(&dir.join("layer")).unwrap();
    let listed = listing(&packed.file);
    fs::remove_dir_all(&dir).unwrap();
    assert!(listed.contains("./app/app.py") && listed.contains("./app/tests/variants"), "{listed}");
    assert!(listed.contains("./app/link -> ./app.py"), "{listed}");
    assert!(!listed.contains("__pycache__") && !listed.contains("./app/variants"), "{listed}");
}

#[test]
fn the_same_sources_make_the_same_archive_and_a_changed_one_another() {
    let dir = scratch("same");
    fs::create_dir_all(dir.join("root")).unwrap();
    let made = |text: &str, name: &str| {
        fs::write(dir.join("root/file"), text).unwrap();
        let blob = Layer::new(dir.join("root")).pack(&dir.join(format!("{name}.layer"))).unwrap();
        layout::write(&image(vec![]), &[blob], &dir.join(name)).unwrap();
        fs::read(dir.join(name)).unwrap()
    };
    let (one, same, other) = (made("text", "one.tar"), made("text", "two.tar"), made("more", "three.tar"));
    fs::remove_dir_all(&dir).unwrap();
    assert!(one == same && one != other);
}

#[test]
fn the_layout_names_every_blob_by_its_digest() {
    let dir = scratch("layout");
    fs::create_dir_all(dir.join("root")).unwrap();
    let blob = Layer::new(dir.join("root")).pack(&dir.join("layer")).unwrap();
    layout::write(&image(vec![]), std::slice::from_ref(&blob), &dir.join("x.tar")).unwrap();
    let words = |file: &str| ["-xOf".into(), dir.join("x.tar").into_os_string(), file.into()];
    let index: serde_json::Value = serde_json::from_str(&run("tar", words("./index.json")).unwrap()).unwrap();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap().replace("sha256:", "./blobs/sha256/");
    let manifest: serde_json::Value = serde_json::from_str(&run("tar", words(&manifest)).unwrap()).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "golive.test/x:1");
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{}", blob.digest));
}

#[test]
fn names_without_a_registry_are_written_in_full() {
    let cases = [
        ("golive:dev", "docker.io/library/golive:dev"),
        ("team/golive:dev", "docker.io/team/golive:dev"),
        ("registry.example.com/hello:1.0.0", "registry.example.com/hello:1.0.0"),
        ("localhost/hello:1", "localhost/hello:1"),
    ];
    cases.into_iter().for_each(|(name, full)| assert_eq!(layout::canonical(name), full));
}

#[test]
fn an_unknown_image_or_tag_is_refused_by_name() {
    for name in ["nginx", "golive:2", "hello:", "hello:../x", "csvboard:9.9.9-nowhere"] {
        assert!(named(name).is_err(), "{name}");
    }
}
