//! Finding elements, and acting on them.

use crate::trial::{Trial, click, css, json, start, text};
use cloister_core::browser::page::{Selector, Step, WaitFor};
use serde_json::json;

fn by_text(text: &str) -> Selector {
    Selector::Text(text.to_owned())
}

fn by_role(role: &str, name: &str) -> Selector {
    Selector::Role { role: role.to_owned(), name: Some(name.to_owned()) }
}

fn put(selector: Selector, text: &str) -> Step {
    Step::Type { selector: Some(selector), text: text.to_owned(), clear: true, submit: false }
}

async fn is(trial: &Trial, expression: &str, expected: serde_json::Value) {
    assert_eq!(trial.value(expression).await, expected, "{expression}");
}

#[tokio::test]
async fn text_of_any_script_replaces_what_an_input_a_textarea_and_an_editable_element_hold() {
    let Some(trial) = start().await else { return };
    trial.page("<input id=a value=old><textarea id=b>old</textarea><div id=c contenteditable>old</div><label for=d>Your date</label><input id=d type=date><script>n=0; a.addEventListener('input', () => n++)</script>").await;
    let words = "日本語 👩‍👩‍👧 Ünï שלום";
    for id in ["#a", "#b", "#c"] {
        trial.gives(put(css(id), words)).await;
    }
    is(&trial, "[a.value, b.value, c.innerText, n]", json!([words, words, words, 1])).await;
    trial
        .gives(Step::Type { selector: Some(css("#a")), text: "+".into(), clear: false, submit: false })
        .await;
    is(&trial, "a.value", json!(format!("{words}+"))).await;
    trial.gives(put(css("#a"), "")).await;
    is(&trial, "a.value", json!("")).await;
    trial.gives(put(by_text("Your date"), "2026-11-29")).await;
    is(&trial, "d.value", json!("2026-11-29")).await;
    assert_eq!(trial.fails(put(css("#d"), "tomorrow"), 5).await.code, "invalid");
}

#[tokio::test]
async fn elements_are_found_by_css_text_role_and_reference() {
    let Some(trial) = start().await else { return };
    trial.page("<button onclick=\"n='css'\" id=x>First</button><a href='#' onclick=\"n='text'; return false\">Read <b>more</b> here</a><button aria-label='Close window' onclick=\"n='role'\">×</button><script>n=''</script>").await;
    trial.gives(click(css("button"))).await;
    is(&trial, "n", json!("css")).await;
    trial.gives(click(by_text("read MORE  here"))).await;
    is(&trial, "n", json!("text")).await;
    trial.gives(click(by_role("button", "close"))).await;
    is(&trial, "n", json!("role")).await;
    let snapshot = text(trial.gives(Step::Snapshot).await);
    let line = snapshot.lines().find(|line| line.contains("\"First\"")).unwrap();
    let reference = line.split("[ref=").nth(1).unwrap().split(']').next().unwrap().to_owned();
    trial.value("document.body.prepend(document.createElement('hr')); n = ''").await;
    assert!(text(trial.gives(Step::Snapshot).await).contains(&format!("\"First\" [ref={reference}]")));
    trial.gives(click(Selector::Ref(reference.clone()))).await;
    is(&trial, "n", json!("css")).await;
    trial.page("<button>Another page</button>").await;
    let error = trial.fails(click(Selector::Ref(reference)), 5).await;
    assert_eq!(error.code, "not_found");
    assert!(error.message.contains("snapshot"), "{error:?}");
}

#[tokio::test]
async fn elements_inside_of_frames_and_shadow_trees_are_reached() {
    let Some(trial) = start().await else { return };
    trial.page("<div style='height:900px'></div><iframe id=f style='border:7px solid;padding:3px;margin:20px' srcdoc=\"<div style='height:300px'></div><input id=i><button onclick='parent.n=i.value' id=go>Inside</button>\"></iframe><div id=host></div><script>n=''; const s = host.attachShadow({mode:'open'}); s.innerHTML='<button id=deep>Shadow</button>'; s.getElementById('deep').onclick = () => n='shadow'</script>").await;
    trial.gives(put(css("#i"), "framed 語")).await;
    trial.gives(click(by_text("Inside"))).await;
    is(&trial, "n", json!("framed 語")).await;
    trial.gives(click(css("#deep"))).await;
    is(&trial, "n", json!("shadow")).await;
    trial.value("n = ''").await;
    trial.gives(click(by_role("button", "Inside"))).await;
    is(&trial, "n", json!("framed 語")).await;
    let snapshot = text(trial.gives(Step::Snapshot).await);
    assert!(snapshot.contains("button \"Inside\"") && snapshot.contains("button \"Shadow\""), "{snapshot}");
}

#[tokio::test]
async fn a_click_waits_until_the_element_is_there_enabled_still_and_uncovered() {
    let Some(trial) = start().await else { return };
    trial.page("<div id=cover style='position:fixed;inset:0;background:#0008'></div><script>n=0; setTimeout(() => { const b = document.createElement('button'); b.textContent='Late'; b.disabled=true; b.onclick=()=>n++; document.body.append(b); setTimeout(() => { b.disabled=false; cover.remove() }, 200) }, 200)</script>").await;
    trial.gives(click(by_text("Late"))).await;
    is(&trial, "n", json!(1)).await;
}

#[tokio::test]
async fn a_failed_search_says_what_is_similar_or_what_is_in_the_way() {
    let Some(trial) = start().await else { return };
    trial.page("<button id=submit-order>Place order</button><button id=low style='position:fixed;left:0;top:200px'>Low</button><div class=banner style='position:fixed;left:0;top:190px;width:500px;height:100px;background:red'>Cookies!</div><input type=checkbox id=c><select id=s><option>One</select>").await;
    let error = trial.fails(click(by_text("Place ordre")), 1).await;
    assert_eq!(error.code, "not_found");
    assert!(error.message.contains("Place order"), "{error:?}");
    let error = trial.fails(click(css("#submit_order")), 1).await;
    assert!(error.code == "not_found" && error.message.contains("submit-order"), "{error:?}");
    let error = trial.fails(click(by_role("button", "Buy")), 1).await;
    assert!(error.code == "not_found" && error.message.contains("Place order"), "{error:?}");
    let error = trial.fails(click(css("#low")), 1).await;
    assert!(
        error.code == "timeout"
            && error.message.contains("covered by <div")
            && error.message.contains("banner"),
        "{error:?}"
    );
    assert_eq!(trial.fails(click(css("button[")), 5).await.code, "invalid");
    assert_eq!(trial.fails(put(css("#c"), "x"), 5).await.code, "invalid");
    let error = trial.fails(Step::Select { selector: css("#s"), values: vec!["Two".into()] }, 1).await;
    assert!(error.code == "not_found" && error.message.contains("One"), "{error:?}");
}

#[tokio::test]
async fn options_are_chosen_by_value_or_label_and_the_page_hears_of_it() {
    let Some(trial) = start().await else { return };
    trial.page("<select id=s><option value=a>Alpha</option><option value=b>Beta</option></select><select id=m multiple><option>1<option>2<option>3</select><script>log=[]; s.onchange=()=>log.push(s.value); m.oninput=()=>log.push([...m.selectedOptions].map(o=>o.value))</script>").await;
    trial.gives(Step::Select { selector: css("#s"), values: vec!["beta".into()] }).await;
    trial.gives(Step::Select { selector: css("#s"), values: vec!["a".into()] }).await;
    trial.gives(Step::Select { selector: css("#m"), values: vec!["1".into(), "3".into()] }).await;
    is(&trial, "log", json!(["b", "a", ["1", "3"]])).await;
}

#[tokio::test]
async fn pressing_hovering_scrolling_and_waiting() {
    let Some(trial) = start().await else { return };
    trial.page("<style>#tip{display:none} #h:hover + #tip{display:block}</style><form onsubmit=\"n=q.value; return false\"><input id=q></form><div id=h>Hover me</div><div id=tip>Tip</div><div style='height:4000px'></div><p id=end>End</p><script>n=''; setTimeout(() => document.title='x', 100)</script>").await;
    trial
        .gives(Step::Type { selector: Some(css("#q")), text: "find".into(), clear: true, submit: true })
        .await;
    is(&trial, "n", json!("find")).await;
    trial.gives(Step::Press { key: "Control+a".into() }).await;
    trial.gives(Step::Press { key: "+".into() }).await;
    is(&trial, "q.value", json!("+")).await;
    trial.gives(Step::Hover { selector: css("#h") }).await;
    trial.gives(Step::Wait { until: WaitFor::Selector(css("#tip")) }).await;
    trial.gives(Step::Hover { selector: css("#q") }).await;
    trial.gives(Step::Wait { until: WaitFor::Hidden(css("#tip")) }).await;
    let at = json(trial.gives(Step::Scroll { selector: None, x: 0, y: 300 }).await);
    assert_eq!(at["y"], 300);
    trial.gives(Step::Scroll { selector: Some(css("#end")), x: 0, y: 0 }).await;
    is(&trial, "end.getBoundingClientRect().bottom <= innerHeight", json!(true)).await;
    assert_eq!(trial.fails(Step::Wait { until: WaitFor::Text("never".into()) }, 1).await.code, "timeout");
    assert_eq!(trial.fails(Step::Press { key: "Hyper+x".into() }, 5).await.code, "invalid");
}

#[tokio::test]
async fn what_is_in_a_closed_shadow_root_is_reached_by_its_role_and_by_reference() {
    let Some(trial) = start().await else { return };
    trial.page("<div id=host></div><script>n=''; const s = host.attachShadow({mode:'closed'}); s.innerHTML='<input aria-label=Name><button>Go</button>'; s.querySelector('button').onclick = () => n += s.querySelector('input').value</script>").await;
    trial.gives(put(by_role("textbox", "Name"), "Zoë")).await;
    trial.gives(click(by_role("button", "Go"))).await;
    is(&trial, "n", json!("Zoë")).await;
    let snapshot = text(trial.gives(Step::Snapshot).await);
    let line = snapshot.lines().find(|line| line.contains("button \"Go\"")).unwrap();
    let reference = line.split_once("[ref=").unwrap().1.split_once(']').unwrap().0;
    trial.gives(click(Selector::Ref(reference.to_owned()))).await;
    is(&trial, "n", json!("ZoëZoë")).await;
}
