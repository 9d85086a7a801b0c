//! Page actions of the native door: what an agent without a CDP client can ask of a page.
//!
//! One request carries a list of [`Step`]s. They run in order on the session's current tab and stop at the first that fails.

use bytes::Bytes;
use std::time::Duration;

/// How to find an element. Exactly one element is meant: the first that is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// A CSS selector.
    Css(String),
    /// Visible text, white space collapsed, case ignored; contained in the element's text.
    Text(String),
    /// ARIA role, and the accessible name if given.
    Role {
        /// `button`, `link`, `textbox`, …
        role: String,
        /// Contained in the name, case ignored.
        name: Option<String>,
    },
    /// A reference from [`Step::Snapshot`]: `e12`.
    Ref(String),
}

/// Until when to wait after a navigation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadState {
    /// The load event (default).
    #[default]
    Load,
    /// DOMContentLoaded.
    DomContentLoaded,
    /// No request for half a second.
    NetworkIdle,
    /// The response has arrived.
    Commit,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// An element that is visible.
    Selector(Selector),
    /// An element that is gone or hidden.
    Hidden(Selector),
    /// Text anywhere in the page.
    Text(String),
    /// The URL contains this.
    Url(String),
    /// A state of loading.
    Load(LoadState),
    /// Only time.
    Time(Duration),
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extract {
    /// Visible text.
    Text,
    /// The outer HTML.
    Html,
    /// Markdown made from the page: headings, lists, tables, links, images.
    Markdown,
    /// Every link with its text, absolute.
    Links,
}

/// Picture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossless.
    Png,
    /// With a quality of 0 to 100.
    Jpeg(u8),
}

/// A cookie as the browser has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `example.com` or `.example.com`; taken from `url` when it is set.
    pub domain: String,
    /// `/` by default.
    pub path: String,
    /// A URL to take domain, path and security from.
    pub url: Option<String>,
    /// Seconds since 1970; a session cookie if absent.
    pub expires: Option<f64>,
    /// Not readable by scripts.
    pub http_only: bool,
    /// Sent over TLS only.
    pub secure: bool,
    /// `Strict`, `Lax`, `None`.
    pub same_site: Option<String>,
}

/// One page action.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Go to a URL (http, https, about:blank, data).
    Navigate {
        /// Absolute.
        url: String,
        /// Until when to wait.
        wait: LoadState,
    },
    /// Back in the tab's history.
    Back,
    /// Forward in the tab's history.
    Forward,
    /// Load again.
    Reload,
    /// Click an element: scrolled into view, waited for, at its middle.
    Click {
        /// Which.
        selector: Selector,
        /// Which button.
        button: super::Button,
        /// 2 for a double click.
        count: u32,
    },
    /// Put text into an input, textarea or editable element.
    Type {
        /// Which; the element that has the focus if absent.
        selector: Option<Selector>,
        /// Any Unicode.
        text: String,
        /// Empty it first (default).
        clear: bool,
        /// Press Enter afterwards.
        submit: bool,
    },
    /// Press a key or a combination: `Enter`, `Control+a`.
    Press {
        /// As in Playwright.
        key: String,
    },
    /// Choose options of a `<select>` by value or label.
    Select {
        /// Which.
        selector: Selector,
        /// One, or several for a multiple select.
        values: Vec<String>,
    },
    /// Scroll the page, or an element into view.
    Scroll {
        /// Scrolled into view if given.
        selector: Option<Selector>,
        /// To the right, in CSS pixels.
        x: i32,
        /// Down, in CSS pixels.
        y: i32,
    },
    /// Move the pointer over an element.
    Hover {
        /// Which.
        selector: Selector,
    },
    /// Wait.
    Wait {
        /// For what.
        until: WaitFor,
    },
    /// Read the page or an element.
    Extract {
        /// The whole page if absent.
        selector: Option<Selector>,
        /// What.
        what: Extract,
    },
    /// The accessibility tree, condensed, with references for [`Selector::Ref`].
    Snapshot,
    /// Evaluate JavaScript; promises are awaited; the value comes back as JSON.
    Evaluate {
        /// An expression or statements.
        expression: String,
    },
    /// A picture.
    Screenshot {
        /// Of an element; of the viewport if absent.
        selector: Option<Selector>,
        /// Of the whole page.
        full_page: bool,
        /// PNG by default.
        format: Format,
        /// Also save it in the session's files under this name.
        path: Option<String>,
    },
    /// The page as PDF.
    Pdf {
        /// Also save it in the session's files under this name.
        path: Option<String>,
    },
    /// The cookies that the current page would send, or of the given URLs.
    Cookies {
        /// The current page if empty.
        urls: Vec<String>,
    },
    /// Set cookies.
    SetCookies {
        /// At least one.
        cookies: Vec<Cookie>,
    },
    /// Remove all cookies.
    ClearCookies,
    /// Every tab.
    Tabs,
    /// A new tab, which becomes the current one.
    OpenTab {
        /// about:blank if absent.
        url: Option<String>,
    },
    /// Another tab becomes the current one.
    SwitchTab {
        /// As [`Step::Tabs`] names it.
        tab: String,
    },
    /// Close a tab; the current one if absent. The last one is replaced by an empty one.
    CloseTab {
        /// As [`Step::Tabs`] names it.
        tab: Option<String>,
    },
    /// Put files of the session into a file input.
    Upload {
        /// Which.
        selector: Selector,
        /// Relative to the workspace.
        paths: Vec<String>,
    },
    /// What dialogs get from now on; those that have opened are reported in [`Step::Console`].
    Dialogs {
        /// Accept or dismiss.
        accept: bool,
        /// Text for prompts.
        text: Option<String>,
    },
    /// Console messages, uncaught errors and dialogs since the session's start (bounded), newest last.
    Console,
    /// Requests since the session's start (bounded), newest last.
    Network,
    /// The downloads so far, with name, size and state.
    Downloads,
}

impl Step {
    /// The step's name on the wire and in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Navigate { .. } => "navigate",
            Self::Back => "back",
            Self::Forward => "forward",
            Self::Reload => "reload",
            Self::Click { .. } => "click",
            Self::Type { .. } => "type",
            Self::Press { .. } => "press",
            Self::Select { .. } => "select",
            Self::Scroll { .. } => "scroll",
            Self::Hover { .. } => "hover",
            Self::Wait { .. } => "wait",
            Self::Extract { .. } => "extract",
            Self::Snapshot => "snapshot",
            Self::Evaluate { .. } => "evaluate",
            Self::Screenshot { .. } => "screenshot",
            Self::Pdf { .. } => "pdf",
            Self::Cookies { .. } => "cookies",
            Self::SetCookies { .. } => "setCookies",
            Self::ClearCookies => "clearCookies",
            Self::Tabs => "tabs",
            Self::OpenTab { .. } => "openTab",
            Self::SwitchTab { .. } => "switchTab",
            Self::CloseTab { .. } => "closeTab",
            Self::Upload { .. } => "upload",
            Self::Dialogs { .. } => "dialogs",
            Self::Console => "console",
            Self::Network => "network",
            Self::Downloads => "downloads",
        }
    }
}

/// What one step gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Performed {
    /// [`Step::name`].
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
    /// The URL of the current tab afterwards.
    pub url: String,
    /// What it gave, or why it failed; it is the last one then.
    pub result: Result<Given, StepError>,
}

/// What a step gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// Nothing but that it is done.
    Done,
    /// Text (extracts, snapshot).
    Text(String),
    /// JSON (links, cookies, tabs, evaluate, logs, what a navigation met).
    Json(serde_json::Value),
    /// A picture or a PDF.
    Binary {
        /// Its bytes.
        data: Bytes,
        /// `image/png`, `image/jpeg`, `application/pdf`.
        mime: &'static str,
        /// Where it was saved in the session's files.
        path: Option<String>,
    },
}

/// Why a step failed. The session lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// `not_found`, `timeout`, `navigation_failed`, `denied`, `invalid`, `page_error`, `crashed`, `dialog_open`.
    pub code: &'static str,
    /// What happened and what to do.
    pub message: String,
}
