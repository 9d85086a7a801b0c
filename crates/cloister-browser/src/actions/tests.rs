//! The actions on a real Chromium.

use crate::trial::{Trial, start};
use cloister_core::browser::page::{Given, Step};
use cloister_core::browser::{Action, ActionResult, BrowserError, Button};
use serde_json::json;

fn key(name: &str) -> Action {
    Action::KeyPress { key: name.to_owned(), presses: 1 }
}

fn typed(text: &str) -> Action {
    Action::KeyType { text: text.to_owned() }
}

fn click_at(x: i32, y: i32) -> Action {
    Action::MouseClick { at: Some((x, y)), button: Button::Left, count: 1 }
}

/// The page's state while a dialog holds it, from outside.
async fn dialog_kind(trial: &Trial) -> Option<String> {
    trial.tabs.current().unwrap().dialog().map(|dialog| dialog.kind)
}

/// Waits until a dialog is open: it opens a moment after the page asked for it.
async fn until_a_dialog_is_open(trial: &Trial) {
    trial.tabs.current().unwrap().dialog_opens().await;
}

#[tokio::test]
async fn text_of_any_script_arrives_in_the_focused_field_as_it_was_typed() {
    let Some(trial) = start().await else { return };
    trial.page("<textarea id=t style='width:400px;height:200px'></textarea>").await;
    trial.does(click_at(100, 100)).await;
    let text = "Grüße, 日本語 한국어 العربية 👩‍👩‍👧 é\nsecond\tline";
    trial.does(typed("Grüße, 日本語 한국어 العربية 👩‍👩‍👧 é\nsecond")).await;
    assert_eq!(trial.value("t.value").await, json!(text.replace("\tline", "")));
}

#[tokio::test]
async fn clicks_say_their_button_and_count_and_a_click_without_a_place_is_where_the_pointer_is() {
    let Some(trial) = start().await else { return };
    trial.page("<script>log=[]; for (const n of ['click','dblclick','auxclick','contextmenu']) addEventListener(n, e => log.push([n, e.clientX, e.clientY, e.button, e.detail]))</script>").await;
    trial.does(Action::MouseMove { to: (30, 40) }).await;
    trial.does(Action::MouseClick { at: None, button: Button::Left, count: 2 }).await;
    trial.does(Action::MouseClick { at: Some((50, 60)), button: Button::Right, count: 1 }).await;
    trial.does(Action::MouseClick { at: Some((50, 60)), button: Button::Middle, count: 1 }).await;
    let log = trial.value("log").await;
    assert_eq!(
        log,
        json!([
            ["click", 30, 40, 0, 1],
            ["click", 30, 40, 0, 2],
            ["dblclick", 30, 40, 0, 2],
            ["contextmenu", 50, 60, 2, 0],
            ["auxclick", 50, 60, 2, 1],
            ["auxclick", 50, 60, 1, 1]
        ])
    );
}

#[tokio::test]
async fn a_negative_wheel_scrolls_down_and_a_drag_moves_with_the_button_held() {
    let Some(trial) = start().await else { return };
    trial
        .page("<body style='height:5000px'><script>log=[]; for (const n of ['mousedown','mousemove','mouseup']) addEventListener(n, e => log.push([n, e.clientX, e.buttons]))</script>")
        .await;
    trial.does(Action::MouseDrag { from: (100, 100), to: (300, 100), button: Button::Left }).await;
    let log = trial.value("log").await;
    let log = log.as_array().unwrap();
    assert!(
        log.contains(&json!(["mousedown", 100, 1])) && log.contains(&json!(["mousemove", 200, 1])),
        "{log:?}"
    );
    assert_eq!(log.last(), Some(&json!(["mouseup", 300, 0])));
    trial.does(Action::MouseScroll { at: (200, 200), delta_x: 0, delta_y: -400 }).await;
    assert_eq!(trial.value("new Promise(done => { const look = () => scrollY > 0 ? done(true) : requestAnimationFrame(look); look(); })").await, json!(true));
}

#[tokio::test]
async fn keys_and_shortcuts_do_what_a_keyboard_does() {
    let Some(trial) = start().await else { return };
    trial.page("<input id=a autofocus><input id=b><script>a.focus(); log=[]; addEventListener('keydown', e => log.push(e.code + (e.shiftKey ? '+' : '')))</script>").await;
    trial.does(Action::KeyPress { key: "x".into(), presses: 3 }).await;
    trial.does(Action::KeyShortcut { keys: vec!["shift".into(), "y".into()] }).await;
    trial.does(key("é")).await;
    assert_eq!(trial.value("a.value").await, json!("xxxYé"));
    trial.does(Action::KeyShortcut { keys: vec!["ctrl".into(), "a".into()] }).await;
    trial.does(Action::KeyShortcut { keys: vec!["ctrl".into(), "x".into()] }).await;
    trial.does(key("tab")).await;
    trial.does(Action::KeyShortcut { keys: vec!["ctrl".into(), "v".into()] }).await;
    assert_eq!(trial.value("[a.value, b.value]").await, json!(["", "xxxYé"]));
    let log = trial.value("log").await;
    assert!(log.as_array().unwrap().contains(&json!("KeyY+")), "{log}");
    assert_eq!(trial.tabs.current().unwrap().input().modifiers, 0, "nothing stays pressed");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_field_before_anything_is_pressed() {
    let Some(trial) = start().await else { return };
    trial.page("<input id=a autofocus><script>a.focus()</script>").await;
    let wrong = Action::KeyShortcut { keys: vec!["ctrl".into(), "warp".into()] };
    for (action, name) in
        [(key("warp"), "key"), (wrong, "keys"), (click_at(1000, 5), "x"), (click_at(5, 700), "y")]
    {
        let Err(BrowserError::Invalid { field, .. }) = trial.act(action.clone()).await else {
            panic!("{action:?}")
        };
        assert_eq!(field, name);
    }
    assert_eq!(trial.tabs.current().unwrap().input().modifiers, 0);
}

#[tokio::test]
async fn a_screenshot_is_a_png_of_the_viewport() {
    let Some(trial) = start().await else { return };
    trial.page("<body style='background:#123456'>").await;
    let ActionResult::Success { data: Some(data) } = trial.act(Action::Screenshot).await.unwrap() else {
        panic!()
    };
    assert_eq!(data.get(..8).unwrap(), b"\x89PNG\r\n\x1a\n");
    assert_eq!(size_of_png(&data), (1000, 700));
}

/// Width and height from the header.
fn size_of_png(data: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test]
async fn a_dialog_is_answered_by_the_keyboard_and_everything_else_says_that_it_is_in_the_way() {
    let Some(trial) = start().await else { return };
    trial.page("<button style='position:fixed;left:0;top:0;width:200px;height:100px' onclick=\"said = [confirm('Sure?'), prompt('Name?', 'nobody'), confirm('Really?')]\">x</button>").await;
    trial.does(click_at(50, 50)).await;
    until_a_dialog_is_open(&trial).await;
    for action in [Action::Screenshot, click_at(500, 500), typed("text")] {
        let ActionResult::Failed { error } = trial.act(action).await.unwrap() else {
            panic!("a dialog is open")
        };
        assert!(error.contains("confirm") && error.contains("Sure?"), "{error}");
    }
    trial.does(key("enter")).await;
    until_a_dialog_is_open(&trial).await;
    assert_eq!(dialog_kind(&trial).await.as_deref(), Some("prompt"));
    trial.does(typed("Ada 名前")).await;
    trial.does(key("enter")).await;
    until_a_dialog_is_open(&trial).await;
    assert_eq!(dialog_kind(&trial).await.as_deref(), Some("confirm"));
    trial.does(key("escape")).await;
    assert_eq!(trial.value("said").await, json!([true, "Ada 名前", false]));
    trial.does(Action::Screenshot).await;
}

#[tokio::test]
async fn a_prompt_that_is_accepted_without_typing_gives_its_proposal() {
    let Some(trial) = start().await else { return };
    trial.page("<button style='position:fixed;left:0;top:0;width:200px;height:100px' onclick=\"said = prompt('Name?', 'nobody')\">x</button>").await;
    trial.does(click_at(50, 50)).await;
    until_a_dialog_is_open(&trial).await;
    trial.does(key("enter")).await;
    assert_eq!(trial.value("said").await, json!("nobody"));
}

#[tokio::test]
async fn an_action_on_a_stuck_page_frees_it_and_says_so() {
    let Some(trial) = start().await else { return };
    trial.page("<button id=b style='position:fixed;left:0;top:0;width:200px;height:100px' onclick='for (;;) {}'>x</button>").await;
    let ActionResult::Failed { error } = trial.act(click_at(50, 50)).await.unwrap() else {
        panic!("it hangs")
    };
    assert!(error.contains("the script was stopped"), "{error}");
    trial.does(Action::Screenshot).await;
    assert!(matches!(trial.gives(Step::Snapshot).await, Given::Text(_)));
}
