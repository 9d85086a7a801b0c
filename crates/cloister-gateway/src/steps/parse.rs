//! From JSON to page actions: one entry per action, with the members of [`Step`].

use super::Mistakes;
use super::arguments::Arguments;
use crate::json::Json;
use cloister_core::browser::Button;
use cloister_core::browser::page::{Cookie, Extract, Format, LoadState, Step, WaitFor};
use std::time::Duration;

/// Most page actions of one request.
const STEPS: usize = 256;
/// Longest wait for nothing but time.
const PAUSE: f64 = 600.0;
/// Farthest scroll in one action.
const FAR: i32 = 10_000_000;
/// Quality of a JPEG that says none.
const QUALITY: i32 = 80;

const STATES: &[(&str, LoadState)] = &[
    ("load", LoadState::Load),
    ("domcontentloaded", LoadState::DomContentLoaded),
    ("networkidle", LoadState::NetworkIdle),
    ("commit", LoadState::Commit),
];
const BUTTONS: &[(&str, Button)] =
    &[("left", Button::Left), ("right", Button::Right), ("middle", Button::Middle)];
const EXTRACTS: &[(&str, Extract)] = &[
    ("text", Extract::Text),
    ("html", Extract::Html),
    ("markdown", Extract::Markdown),
    ("links", Extract::Links),
];

/// The names of all page actions, as [`Step::name`] has them.
pub(super) const NAMES: [&str; 28] = [
    "navigate",
    "back",
    "forward",
    "reload",
    "click",
    "type",
    "press",
    "select",
    "scroll",
    "hover",
    "wait",
    "extract",
    "snapshot",
    "evaluate",
    "screenshot",
    "pdf",
    "cookies",
    "setCookies",
    "clearCookies",
    "tabs",
    "openTab",
    "switchTab",
    "closeTab",
    "upload",
    "dialogs",
    "console",
    "network",
    "downloads",
];

/// The page actions of a list of objects, or of one object; each object may hold several, which run in the order written.
pub(super) fn steps<'a>(given: &'a Json<'a>, path: &str, mistakes: &'a Mistakes) -> Vec<Step> {
    let mut steps = Vec::new();
    match given {
        Json::Array(entries) => {
            for (index, entry) in entries.iter().enumerate().take(STEPS + 1) {
                object(entry, &format!("{path}[{index}]"), mistakes, &mut steps);
            }
        }
        one => object(one, path, mistakes, &mut steps),
    }
    // Mistakes make a list shorter, and are named already.
    let named = steps.is_empty() && !mistakes.none();
    if !named && !(1..=STEPS).contains(&steps.len()) {
        mistakes.add(path, format!("must hold 1 to {STEPS} page actions"));
    }
    steps
}

fn object<'a>(given: &'a Json<'a>, path: &str, mistakes: &'a Mistakes, steps: &mut Vec<Step>) {
    let Json::Object(members) = given else {
        let example = "such as {\"click\": {\"selector\": \"#send\"}}";
        return mistakes.add(path, format!("must be an object {example}, and it is {}", given.kind()));
    };
    if members.is_empty() {
        mistakes.add(path, "must name a page action");
    }
    for (name, arguments) in members {
        let path = format!("{path}.{name}");
        if !NAMES.contains(&name.as_ref()) {
            mistakes.add(path, format!("is no page action; there are {}", NAMES.join(", ")));
            continue;
        }
        let arguments = Arguments::of(arguments, path, mistakes);
        steps.extend(step(name, &arguments));
        arguments.finish();
    }
}

/// One page action. What is wrong with it has been noted, and then it is never carried out.
fn step(name: &str, a: &Arguments<'_>) -> Option<Step> {
    Some(match name {
        "navigate" => {
            Step::Navigate { url: a.required("url"), wait: a.choice("wait", STATES).unwrap_or_default() }
        }
        "back" => Step::Back,
        "forward" => Step::Forward,
        "reload" => Step::Reload,
        "click" => Step::Click {
            selector: a.required_selector("selector"),
            button: a.choice("button", BUTTONS).unwrap_or_default(),
            count: a.whole("count", 1, 10).unwrap_or(1).unsigned_abs(),
        },
        "type" => {
            if !a.has("text") {
                a.bad("text", "must be there");
            }
            Step::Type {
                selector: a.selector("selector"),
                text: a.text("text").unwrap_or_default(),
                clear: a.flag("clear", true),
                submit: a.flag("submit", false),
            }
        }
        "press" => Step::Press { key: a.required("key") },
        "select" => {
            let (selector, values) = (a.required_selector("selector"), a.texts("values"));
            if values.is_empty() {
                a.bad("values", "must be there: the value or the label of an option, or a list of them");
            }
            Step::Select { selector, values }
        }
        "scroll" => Step::Scroll {
            selector: a.selector("selector"),
            x: a.whole("x", -FAR, FAR).unwrap_or(0),
            y: a.whole("y", -FAR, FAR).unwrap_or(0),
        },
        "hover" => Step::Hover { selector: a.required_selector("selector") },
        "wait" => Step::Wait { until: wait(a)? },
        "extract" => Step::Extract {
            selector: a.selector("selector"),
            what: a.choice("what", EXTRACTS).unwrap_or(Extract::Text),
        },
        "snapshot" => Step::Snapshot,
        "evaluate" => Step::Evaluate { expression: a.required("expression") },
        "screenshot" => screenshot(a),
        "pdf" => Step::Pdf { path: a.file("path") },
        "cookies" => Step::Cookies { urls: a.texts("urls") },
        "setCookies" => Step::SetCookies { cookies: a.objects("cookies").iter().map(cookie).collect() },
        "clearCookies" => Step::ClearCookies,
        "tabs" => Step::Tabs,
        "openTab" => Step::OpenTab { url: a.text("url") },
        "switchTab" => Step::SwitchTab { tab: a.required("tab") },
        "closeTab" => Step::CloseTab { tab: a.text("tab") },
        "upload" => upload(a),
        "dialogs" => {
            if !a.has("accept") {
                a.bad("accept", "must be there: true or false");
            }
            Step::Dialogs { accept: a.flag("accept", false), text: a.text("text") }
        }
        "console" => Step::Console,
        "network" => Step::Network,
        "downloads" => Step::Downloads,
        _ => return None,
    })
}

fn wait(a: &Arguments<'_>) -> Option<WaitFor> {
    let mut found = Vec::new();
    found.extend(a.selector("selector").map(WaitFor::Selector));
    found.extend(a.selector("hidden").map(WaitFor::Hidden));
    found.extend(a.text("text").map(WaitFor::Text));
    found.extend(a.text("url").map(WaitFor::Url));
    found.extend(a.choice("load", STATES).map(WaitFor::Load));
    if let Some(seconds) = a.number("seconds") {
        if seconds > 0.0 && seconds <= PAUSE {
            found.push(WaitFor::Time(Duration::from_secs_f64(seconds)));
        } else {
            a.bad("seconds", format!("must be above 0 and up to {PAUSE}"));
            return None;
        }
    }
    if found.len() != 1 {
        a.bad("selector", "must be there, or one of hidden, text, url, load, seconds; and only one of them");
        return None;
    }
    found.pop()
}

fn screenshot(a: &Arguments<'_>) -> Step {
    let jpeg = a.choice("format", &[("png", false), ("jpeg", true)]).unwrap_or_default();
    let quality = a.whole("quality", 0, 100);
    if quality.is_some() && !jpeg {
        a.bad("quality", "goes with the format jpeg only");
    }
    let quality = u8::try_from(quality.unwrap_or(QUALITY)).unwrap_or_default();
    let (selector, full_page) = (a.selector("selector"), a.flag("fullPage", false));
    if selector.is_some() && full_page {
        a.bad("fullPage", "does not go with a selector");
    }
    let format = if jpeg { Format::Jpeg(quality) } else { Format::Png };
    Step::Screenshot { selector, full_page, format, path: a.file("path") }
}

fn cookie(a: &Arguments<'_>) -> Cookie {
    let words = [("Strict", "Strict"), ("Lax", "Lax"), ("None", "None")];
    let cookie = Cookie {
        name: a.required("name"),
        value: a.text("value").unwrap_or_default(),
        domain: a.text("domain").unwrap_or_default(),
        path: a.text("path").unwrap_or_else(|| "/".into()),
        url: a.text("url"),
        expires: a.number("expires"),
        http_only: a.flag("httpOnly", false),
        secure: a.flag("secure", false),
        same_site: a.choice("sameSite", &words).map(str::to_owned),
    };
    if cookie.domain.is_empty() && cookie.url.is_none() {
        a.bad("domain", "must be there, or url");
    }
    a.finish();
    cookie
}

fn upload(a: &Arguments<'_>) -> Step {
    let (selector, paths) = (a.required_selector("selector"), a.texts("paths"));
    if paths.is_empty() {
        a.bad("paths", "must be there: files of the session, relative to its workspace");
    }
    for path in &paths {
        if let Err(message) = crate::guest_path::relative(path) {
            a.bad("paths", message);
        }
    }
    Step::Upload { selector, paths }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use cloister_core::browser::page::Selector;

    fn parsed(text: &str) -> Result<Vec<Step>, Vec<String>> {
        let body = Json::parse(text.as_bytes()).unwrap();
        let named = |error: cloister_core::Error| error.fields.into_iter().map(|field| field.name).collect();
        read(&body, "actions").map(|request| request.steps).map_err(named)
    }

    #[test]
    fn every_page_action_is_read_under_its_own_name() {
        let all = r##"{"selector":"#a","url":"http://x/","text":"t","key":"Enter","values":"v","expression":"1",
            "cookies":[{"name":"n","domain":"d"}],"tab":"1","paths":["f"],"accept":true}"##;
        let body = Json::parse(all.as_bytes()).unwrap();
        for name in NAMES.iter().filter(|name| **name != "wait") {
            let mistakes = Mistakes::default();
            let arguments = Arguments::of(&body, String::new(), &mistakes);
            assert_eq!(step(name, &arguments).unwrap().name(), *name);
            mistakes.finish().unwrap();
        }
    }

    #[test]
    fn several_actions_of_one_object_run_in_the_order_written() {
        let steps = parsed(
            r##"{"actions":{"navigate":{"url":"http://x/"},"type":{"selector":"#q","text":"ü"},"back":null,"click":{"selector":"text=Go"}}}"##,
        )
        .unwrap();
        let names: Vec<_> = steps.iter().map(Step::name).collect();
        assert_eq!(names, ["navigate", "type", "back", "click"]);
        let typed = Step::Type {
            selector: Some(Selector::Css("#q".into())),
            text: "ü".into(),
            clear: true,
            submit: false,
        };
        assert_eq!(steps[1], typed);
    }

    #[test]
    fn every_mistake_is_named_by_its_path_and_nothing_is_done() {
        let names = parsed(
            r##"{"actions":[{"navigate":{"uri":"x"}},{"clik":{}},{"click":{"selector":7,"count":11}},{"back":{"n":1}},
                {"setCookies":{"cookies":[{"name":"a","domain":"d","sameSite":"no","x":1}]}},{"wait":{}},"back"],"timeot":1}"##,
        )
        .unwrap_err();
        for wanted in [
            "timeot",
            "actions[0].navigate.url",
            "actions[0].navigate.uri",
            "actions[1].clik",
            "actions[2].click.selector",
            "actions[2].click.count",
            "actions[3].back.n",
            "actions[4].setCookies.cookies[0].sameSite",
            "actions[4].setCookies.cookies[0].x",
            "actions[5].wait.selector",
            "actions[6]",
        ] {
            assert!(names.iter().any(|name| name == wanted), "{wanted}: {names:?}");
        }
    }

    #[test]
    fn lists_are_bounded_and_never_empty() {
        assert_eq!(parsed(r#"{"actions":[]}"#).unwrap_err(), ["actions"]);
        assert_eq!(parsed("{}").unwrap_err(), ["actions"]);
        let many = |n| format!(r#"{{"actions":[{}{{"back":{{}}}}]}}"#, r#"{"back":{}},"#.repeat(n - 1));
        assert_eq!(parsed(&many(STEPS)).unwrap().len(), STEPS);
        assert_eq!(parsed(&many(STEPS + 1)).unwrap_err(), ["actions"]);
    }

    #[test]
    fn files_stay_below_the_workspace() {
        for path in ["../x", "/etc/passwd", ""] {
            let text = format!(r##"{{"actions":[{{"upload":{{"selector":"#f","paths":["{path}"]}}}}]}}"##);
            assert_eq!(parsed(&text).unwrap_err(), ["actions[0].upload.paths"], "{path}");
            let text = format!(r#"{{"actions":[{{"screenshot":{{"path":"{path}"}}}}]}}"#);
            assert_eq!(parsed(&text).unwrap_err(), ["actions[0].screenshot.path"], "{path}");
        }
    }
}
