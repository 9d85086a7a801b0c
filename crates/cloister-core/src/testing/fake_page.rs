//! The page of the fake browser: a URL, a title that says the same, and cookies.

use crate::browser::page::{Format, Given, Performed, Selector, Step, StepError};
use bytes::Bytes;
use serde_json::json;
use std::time::Duration;

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    url: String,
    cookies: Vec<(String, String)>,
    typed: String,
}

impl Default for Page {
    fn default() -> Self {
        Self { url: "about:blank".into(), cookies: Vec::new(), typed: String::new() }
    }
}

/// Whether a step never ends.
pub(super) fn hangs(step: &Step) -> bool {
    selector(step) == Some(&Selector::Css("#hang".into()))
}

impl Page {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn title(&self) -> String {
        format!("title of {}", self.url)
    }

    /// One step, in no time.
    pub(super) fn play(&mut self, step: &Step) -> Performed {
        let result = self.result(step);
        Performed { name: step.name(), took: Duration::from_millis(1), url: self.url.clone(), result }
    }

    fn result(&mut self, step: &Step) -> Result<Given, StepError> {
        let fail = |code, message: &str| Err(StepError { code, message: message.into() });
        if hangs(step) {
            return fail("timeout", "it did not come to an end");
        }
        if let Some(Selector::Css(text) | Selector::Text(text)) = selector(step)
            && text.trim_start_matches('#') == "missing"
        {
            return fail("not_found", "there is no such element");
        }
        Ok(match step {
            Step::Navigate { url, .. } if url == "https://fails.test/" => {
                return fail("navigation_failed", "net::ERR_NAME_NOT_RESOLVED");
            }
            Step::Navigate { url, .. } | Step::OpenTab { url: Some(url) } => {
                self.url.clone_from(url);
                Given::Json(json!({ "status": 200, "title": self.title() }))
            }
            Step::Type { text, clear, .. } => {
                if *clear {
                    self.typed.clear();
                }
                self.typed.push_str(text);
                Given::Done
            }
            Step::Extract { .. } | Step::Snapshot => Given::Text(format!("{} {}", self.url, self.typed)),
            Step::Evaluate { expression } => Given::Json(json!({ "evaluated": expression })),
            Step::Screenshot { path, format, .. } => Given::Binary {
                data: Bytes::from_static(super::fake_interpreter::PIXEL),
                mime: if matches!(format, Format::Png) { "image/png" } else { "image/jpeg" },
                path: path.clone(),
            },
            Step::Pdf { path } => Given::Binary {
                data: Bytes::from_static(b"%PDF-"),
                mime: "application/pdf",
                path: path.clone(),
            },
            Step::SetCookies { cookies } => {
                self.cookies.extend(cookies.iter().map(|c| (c.name.clone(), c.value.clone())));
                Given::Done
            }
            Step::ClearCookies => {
                self.cookies.clear();
                Given::Done
            }
            Step::Cookies { .. } => Given::Json(json!(self.cookies)),
            Step::Tabs => Given::Json(json!([{ "tab": "page-1", "url": self.url, "current": true }])),
            Step::Console | Step::Network | Step::Downloads => Given::Json(json!([])),
            _ => Given::Done,
        })
    }
}

fn selector(step: &Step) -> Option<&Selector> {
    match step {
        Step::Click { selector, .. }
        | Step::Select { selector, .. }
        | Step::Hover { selector }
        | Step::Upload { selector, .. } => Some(selector),
        Step::Type { selector, .. }
        | Step::Scroll { selector, .. }
        | Step::Extract { selector, .. }
        | Step::Screenshot { selector, .. } => selector.as_ref(),
        _ => None,
    }
}
