//! Pages of a package index: read as JSON (PEP 691, PEP 700) or HTML (PEP 503), written as HTML.

use super::fetch::Url;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Files of one page. The largest projects have some thousands.
const MOST: usize = 20_000;

/// One file that the mirror offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    /// A name that passes [`is_file_name`].
    pub(super) name: String,
    /// Where it lies.
    pub(super) url: Url,
    /// In small hexadecimal digits.
    pub(super) sha256: Option<String>,
    /// Versions of Python that it is for, in the mirror's words.
    pub(super) requires_python: Option<String>,
    /// Withdrawn: installed only when asked for by its exact version.
    pub(super) yanked: bool,
    /// When the mirror, or the index behind it, got it.
    pub(super) uploaded: Option<SystemTime>,
}

/// Not a page that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Whether a name can stand in an address and in a page as it is.
pub(super) fn is_file_name(name: &str) -> bool {
    (1..=250).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+!-".contains(&b))
}

/// Reads a page that came from `base`.
pub(super) fn read(base: &Url, kind: &str, text: &str) -> Result<Vec<File>, Unreadable> {
    let mut files = if kind.contains("json") { json(base, text)? } else { html(base, text) };
    files.truncate(MOST);
    Ok(files)
}

#[derive(Deserialize)]
struct JsonPage {
    files: Vec<JsonFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct JsonFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: HashMap<String, String>,
    requires_python: Option<String>,
    #[serde(default)]
    yanked: serde_json::Value,
    upload_time: Option<String>,
}

fn json(base: &Url, text: &str) -> Result<Vec<File>, Unreadable> {
    let page: JsonPage = serde_json::from_str(text).map_err(|_| Unreadable)?;
    let file = |file: JsonFile| {
        let JsonFile { filename, url, hashes, requires_python, yanked, upload_time } = file;
        Some(File {
            url: base.join(&url).filter(|_| is_file_name(&filename))?,
            name: filename,
            sha256: hashes.get("sha256").and_then(|sum| sha256(sum)),
            requires_python,
            yanked: !matches!(yanked, serde_json::Value::Null | serde_json::Value::Bool(false)),
            uploaded: upload_time.as_deref().and_then(time),
        })
    };
    Ok(page.files.into_iter().filter_map(file).collect())
}

/// The anchors of a page. Whatever else stands in it is of no interest.
fn html(base: &Url, text: &str) -> Vec<File> {
    let anchors = text.split("<a ").skip(1).filter_map(|rest| rest.split_once('>'));
    anchors
        .filter_map(|(attributes, _)| {
            let href = attribute(attributes, "href")?;
            let (place, fragment) = href.split_once('#').unwrap_or((&href, ""));
            let name = place.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default();
            let name = name.replace("%2B", "+").replace("%2b", "+").replace("%21", "!");
            Some(File {
                url: base.join(place).filter(|_| is_file_name(&name))?,
                name,
                sha256: fragment.split('&').find_map(|part| sha256(part.strip_prefix("sha256=")?)),
                requires_python: attribute(attributes, "data-requires-python"),
                yanked: attribute(attributes, "data-yanked").is_some()
                    || attributes.trim_end().ends_with("data-yanked"),
                uploaded: None,
            })
        })
        .collect()
}

/// The value of an attribute, in quotes of either kind.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let begin = attributes.find(&format!("{name}="))? + name.len() + 1;
    let rest = &attributes[begin..];
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let value = rest[1..].split(quote).next()?;
    Some(
        ["&lt;", "&gt;", "&quot;", "&#39;", "&amp;"]
            .iter()
            .zip(["<", ">", "\"", "'", "&"])
            .fold(value.to_owned(), |value, (written, means)| value.replace(written, means)),
    )
}

fn sha256(text: &str) -> Option<String> {
    let good = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    good.then(|| text.to_ascii_lowercase())
}

/// `2024-01-31T12:34:56.789Z` (PEP 700), to the second.
fn time(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !text.ends_with('Z')
        || !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    // Days since 1970 by the civil calendar: years begin in March, so that the odd day is at the end.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = u64::try_from(days * 86_400 + hour * 3600 + minute * 60 + second).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The page of a project with these files, whose links lead back to the proxy.
pub(super) fn write(project: &str, files: &[&File]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta name=\"pypi:repository-version\" content=\"1.0\"><title>{project}</title></head><body>\n"
    );
    for file in files {
        let File { name, url: _, sha256, requires_python, yanked, uploaded: _ } = file;
        let hash = sha256.as_ref().map(|sum| format!("#sha256={sum}")).unwrap_or_default();
        let python =
            requires_python.as_ref().map(|text| format!(" data-requires-python=\"{}\"", escaped(text)));
        let yanked = if *yanked { " data-yanked=\"\"" } else { "" };
        let python = python.unwrap_or_default();
        page.push_str(&format!("<a href=\"/files/{project}/{name}{hash}\"{python}{yanked}>{name}</a>\n"));
    }
    page.push_str("</body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
