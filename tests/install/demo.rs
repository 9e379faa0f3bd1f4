//! The demo goes as it should, and its recording is of today's output.

use std::fs;

use support::paths;

#[path = "../../examples/demo/recording.rs"]
mod recording;
#[path = "../../examples/demo/stage.rs"]
mod stage;

#[test]
fn the_recording_is_what_the_demo_says() {
    let svg = recording::svg(&stage::play(true, |_| {}));
    let file = paths::sources().join("docs/assets/demo.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &svg).unwrap();
    }
    let recorded = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        recorded == svg,
        "docs/assets/demo.svg is stale: UPDATE_DOCS=1 cargo test --test install demo"
    );
}
