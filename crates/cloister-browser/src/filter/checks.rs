//! The checks that methods are subject to: each takes the parameters and passes, changes or refuses them.

use super::table::Table;
use super::{DOWNLOADS, path, url};
use cloister_core::policy::BrowserRules;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on with the parameters that the client wrote.
    Pass,
    /// It goes on with these.
    Changed(String),
    /// The client gets an error with this sentence.
    Refused(String),
    /// The client wants to go.
    Disconnect,
}

/// One check; the names are those of `by` in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    Certificates,
    Close,
    Destination,
    Downloads,
    DraggedFiles,
    Flat,
    Navigation,
    NewContext,
    NewPage,
    Permissions,
    Streams,
    Tracing,
    Uploads,
}

/// What the checks need to know of the session.
pub(super) struct Context {
    workspace: String,
    rules: BrowserRules,
}

type Params = Map<String, Value>;

impl Context {
    pub(super) fn new(workspace: &str, rules: &BrowserRules) -> Self {
        let workspace = workspace.trim_end_matches('/').to_owned();
        Self { workspace, rules: rules.clone() }
    }

    pub(super) fn check(
        &self,
        table: &Table,
        check: Check,
        mut params: Params,
        owns_stream: impl Fn(&str) -> bool,
    ) -> Verdict {
        let checked = match check {
            Check::Close => return Verdict::Disconnect,
            Check::Certificates => certificates(&params),
            Check::Destination => self.optional_url(&params),
            Check::Downloads => self.downloads(&mut params),
            Check::DraggedFiles => self.dragged(&mut params),
            Check::Flat => flat(&mut params),
            Check::Navigation => self.required_url(&params),
            Check::NewContext => new_context(&params),
            Check::NewPage => self.optional_url(&params),
            Check::Permissions => permissions(table, &params),
            Check::Streams => stream(&params, owns_stream),
            Check::Tracing => tracing(&mut params),
            Check::Uploads => self.files(params.get_mut("files")),
        };
        match checked {
            Ok(()) => Verdict::Changed(Value::Object(params).to_string()),
            Err(sentence) => Verdict::Refused(sentence),
        }
    }

    /// Where a download goes is not the client's choice. Its events carry a GUID, and so does the file until it is complete.
    fn downloads(&self, params: &mut Params) -> Result<(), String> {
        if !self.rules.downloads {
            params.insert("behavior".to_owned(), "deny".into());
        } else if params.get("behavior").and_then(Value::as_str) != Some("deny") {
            params.insert("behavior".to_owned(), "allowAndName".into());
            params.insert("downloadPath".to_owned(), format!("{}/{DOWNLOADS}", self.workspace).into());
            params.insert("eventsEnabled".to_owned(), true.into());
        }
        Ok(())
    }

    fn required_url(&self, params: &Params) -> Result<(), String> {
        match params.get("url") {
            Some(Value::String(url)) => url::may_open(url, &self.rules),
            _ => Err("url: text is needed".to_owned()),
        }
    }

    fn optional_url(&self, params: &Params) -> Result<(), String> {
        match params.get("url") {
            None => Ok(()),
            // An empty URL opens about:blank.
            Some(Value::String(url)) if url.is_empty() => Ok(()),
            Some(_) => self.required_url(params),
        }
    }

    fn files(&self, files: Option<&mut Value>) -> Result<(), String> {
        let Some(Value::Array(files)) = files else {
            return Err("files: a list of paths is needed".to_owned());
        };
        for file in files {
            let named = file.as_str().ok_or("files: a path is text")?;
            *file = path::inside(&self.workspace, named)?.into();
        }
        Ok(())
    }

    fn dragged(&self, params: &mut Params) -> Result<(), String> {
        let Some(data) = params.get_mut("data") else { return Ok(()) };
        dragged_urls(data)?;
        match data.get_mut("files") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Array(none)) if none.is_empty() => Ok(()),
            files => {
                self.files(files)?;
                // A page that does not take the drop is left for the file, at its file: URL.
                Err("files are not dropped on pages: set them with DOM.setFileInputFiles".to_owned())
            }
        }
    }
}

/// A page that does not take a dropped URL is left for it: a drop is a navigation by another name.
fn dragged_urls(data: &Value) -> Result<(), String> {
    let items = data.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = text("mimeType").to_ascii_lowercase();
        let list = text("data");
        if !["uri", "url"].iter().any(|word| kind.contains(word)) || list.is_empty() {
            continue;
        }
        // A list has a URL a line (RFC 2483); a browser that takes the whole for one URL leaves line ends out.
        url::allowed(list)?;
        list.lines().filter(|line| !line.trim().is_empty()).try_for_each(url::allowed)?;
    }
    Ok(())
}

fn certificates(params: &Params) -> Result<(), String> {
    let off = |name: &str| matches!(params.get(name), None | Some(Value::Bool(false)));
    if off("ignore") && off("override") {
        return Ok(());
    }
    Err("certificate errors cannot be ignored in this session: the CDP policy keeps them".to_owned())
}

fn new_context(params: &Params) -> Result<(), String> {
    let set = |name: &str| match params.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    if set("proxyServer") || set("proxyBypassList") {
        return Err("proxyServer: a context cannot have a proxy of its own; start the session with proxyConfiguration".into());
    }
    if set("originsWithUniversalNetworkAccess") {
        return Err(
            "originsWithUniversalNetworkAccess: no origin gets around the same-origin policy here".into()
        );
    }
    Ok(())
}

fn flat(params: &mut Params) -> Result<(), String> {
    params.insert("flatten".to_owned(), true.into());
    Ok(())
}

fn permissions(table: &Table, params: &Params) -> Result<(), String> {
    let many = params.get("permissions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let one = params.get("permission").and_then(|permission| permission.get("name"));
    // Taking a permission away is always fine. The browser reads `setting` beside `permission` only: a list of `permissions` is
    // granted whatever stands beside it.
    if many.is_empty() && params.get("setting").and_then(Value::as_str) == Some("denied") {
        return Ok(());
    }
    let refused = many.iter().chain(one).find(|name| !name.as_str().is_some_and(|name| table.grants(name)));
    refused.map_or(Ok(()), |name| {
        Err(format!("permission {name} is not given to pages: it needs a device or the host"))
    })
}

fn stream(params: &Params, owns: impl Fn(&str) -> bool) -> Result<(), String> {
    match params.get("handle").and_then(Value::as_str) {
        // A blob's handle holds a UUID, which the client has from the page.
        Some(handle) if handle.starts_with("blob:") || owns(handle) => Ok(()),
        Some(_) => Err("handle: this connection was given no such stream".to_owned()),
        None => Err("handle: text is needed".to_owned()),
    }
}

fn tracing(params: &mut Params) -> Result<(), String> {
    for other in ["perfettoConfig", "tracingBackend"] {
        params.remove(other);
    }
    params.insert("transferMode".to_owned(), "ReturnAsStream".into());
    Ok(())
}
