//! The engine's process.

use std::path::Path;

use offstage_client::engine::chromium::Launch;
use offstage_client::engine::chromium::Starting;
use offstage_support::win32::process;

use crate::stand_in;
use crate::until;

fn launch(profile: &Path) -> Launch {
    Launch {
        program: stand_in(),
        profile: profile.to_owned(),
        headless: false,
        extra_arguments: Vec::new(),
        start_url: "http://127.0.0.1:1/o/x/start.html".to_owned(),
        stage_url: "http://127.0.0.1:1/o/x/engine.html".to_owned(),
        script: "a token".to_owned(),
    }
}

fn runs(pid: u32) -> bool {
    process::all().contains_key(&pid)
}

#[tokio::test(flavor = "current_thread")]
async fn an_engine_is_brought_up_over_pipes_that_it_inherits_and_ends_when_asked() {
    // A folder whose name has to be quoted.
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join(r#"of "somebody else"#.replace('"', "'"));
    let launch = launch(&profile);
    let engine = Starting::spawn(&launch).unwrap().ready(&launch).await.unwrap();
    assert_eq!(engine.version(), "StandIn/1.0");
    assert_eq!(std::fs::read_to_string(profile.join("script.txt")).unwrap(), "a token");
    let pid = engine.pid();
    assert!(runs(pid));
    engine.end().await;
    until("the engine ends", || !runs(pid));
}

#[tokio::test(flavor = "current_thread")]
async fn an_engine_ends_with_its_value_and_its_end_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let launch = launch(folder.path());
    let engine = Starting::spawn(&launch).unwrap().ready(&launch).await.unwrap();
    let pid = engine.pid();
    drop(engine);
    until("the engine ends", || !runs(pid));

    let mut engine = Starting::spawn(&launch).unwrap().ready(&launch).await.unwrap();
    let kill =
        std::process::Command::new("taskkill").args(["/f", "/pid", &engine.pid().to_string()]).output();
    assert!(kill.unwrap().status.success());
    let ended = engine.ended().await;
    assert!(ended.starts_with("the engine ended"), "{ended}");
}
