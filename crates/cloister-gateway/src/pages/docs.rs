//! The documentation page, written from the OpenAPI document by a few loops: no script, no style sheet, no
//! internet.

use super::OPENAPI;
use serde_json::{Map, Value};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;\
background:#fff}h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.5rem;border-bottom:1px solid #ccc}\
h3{font-size:1rem;margin:1.6rem 0 .2rem;font-family:ui-monospace,monospace;overflow-wrap:anywhere}\
code,pre{font:13px/1.45 ui-monospace,monospace;background:#f3f3f3;border-radius:4px}code{padding:.1em .3em}\
pre{padding:.7rem;overflow-x:auto}.m{display:inline-block;min-width:4.2em;color:#0b5}p{margin:.3rem 0}\
td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#e4e4e4}code,pre{background:#242424}a{color:#8bf}}";

/// The page at `/docs`.
pub(super) fn page() -> String {
    let document: Value = serde_json::from_str(OPENAPI).unwrap_or_default();
    let mut out = head("cloister API");
    out.push_str(&format!("<p>{}</p>", escape(text(&document["info"]["description"]))));
    out.push_str("<p>The same as a document for programs: <a href=\"/openapi.json\">openapi.json</a></p>");
    let empty = Map::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        out.push_str(&format!("<h2>{}</h2><p>{}</p>", escape(name), escape(text(&tag["description"]))));
        for (path, item) in document["paths"].as_object().unwrap_or(&empty) {
            for (method, operation) in item.as_object().unwrap_or(&empty) {
                if operation["tags"][0] == *name {
                    push_operation(&mut out, method, path, item, operation);
                }
            }
        }
    }
    out.push_str("</body></html>");
    out
}

/// The page at `/`.
pub(super) fn index(version: &str, sessions: usize, calls: usize) -> String {
    let mut out = head("cloister");
    out.push_str(&format!(
        "<p>Version {}: {sessions} sessions, {calls} running calls.</p><ul><li><a href=\"/docs\">Documentation of the API</a></li>\
         <li><a href=\"/openapi.json\">OpenAPI document</a></li><li><a href=\"/readyz\">Readiness</a></li>\
         <li><a href=\"/version\">Version</a></li></ul></body></html>",
        escape(version)
    ));
    out
}

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
    )
}

fn push_operation(out: &mut String, method: &str, path: &str, item: &Value, operation: &Value) {
    let method = method.to_uppercase();
    out.push_str(&format!("<h3><span class=\"m\">{}</span> {}</h3>", escape(&method), escape(path)));
    out.push_str(&format!("<p>{}</p>", escape(text(&operation["summary"]))));
    if let Some(description) = operation["description"].as_str() {
        out.push_str(&format!("<p>{}</p>", escape(description)));
    }
    let shared = item["parameters"].as_array().into_iter().flatten();
    let own = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<_> = shared.chain(own).collect();
    if !parameters.is_empty() {
        out.push_str("<table>");
        for parameter in parameters {
            out.push_str(&format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                escape(text(&parameter["name"])),
                escape(text(&parameter["in"])),
                escape(text(&parameter["description"]))
            ));
        }
        out.push_str("</table>");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    push_example(out, "Request", body);
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        out.push_str(&format!(
            "<p><code>{}</code> {}</p>",
            escape(status),
            escape(text(&response["description"]))
        ));
        push_example(out, "Answer", &response["content"]["application/json"]["example"]);
    }
}

fn push_example(out: &mut String, title: &str, example: &Value) {
    if !example.is_null() {
        let shown = serde_json::to_string_pretty(example).unwrap_or_default();
        out.push_str(&format!("<p>{title}:</p><pre>{}</pre>", escape(&shown)));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text as HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
