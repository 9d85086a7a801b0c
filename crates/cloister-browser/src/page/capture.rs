//! Pictures: of the viewport, the whole page, or an element.

use super::files::save;
use super::locate::{Box, Need, locate};
use super::run::Run;
use super::trouble::{Outcome, failed};
use crate::blob;
use bytes::Bytes;
use cloister_core::browser::Held;
use cloister_core::browser::page::{Format, Given, Selector};
use serde_json::{Value, json};

/// Pixels of a side of a picture: what Chromium paints in one piece.
const SIDE: f64 = 16_384.0;
/// Pixels of a picture in all; a larger one takes gigabytes to paint.
const PIXELS: f64 = 100_000_000.0;

/// Of what.
#[derive(Clone, Debug)]
pub(super) enum Area {
    Viewport,
    Page,
    Element(Selector),
}

/// The step. A page that is longer than what can be painted is cut at the bottom.
pub(super) async fn capture(
    run: &Run<'_>,
    area: Area,
    format: Format,
    path: Option<String>,
) -> Outcome<Given> {
    let (kind, mime) = match format {
        Format::Png => ("png", "image/png"),
        Format::Jpeg(_) => ("jpeg", "image/jpeg"),
    };
    let mut params = json!({"format": kind});
    if let Format::Jpeg(quality) = format {
        if quality > 100 {
            return Err(failed("invalid", format!("quality is {quality}: 0 to 100 are possible")));
        }
        params["quality"] = quality.into();
    }
    let clip = match area {
        Area::Viewport => None,
        Area::Page => Some(page(run).await?),
        Area::Element(selector) => Some(element(run, &selector).await?),
    };
    if let Some(Box { x, y, width, height }) = clip {
        params["captureBeyondViewport"] = true.into();
        params["clip"] = json!({"x": x, "y": y, "width": width, "height": height, "scale": 1});
    }
    let answer = run.tab.call_held("Page.captureScreenshot", params, run.left()).await?;
    let data = decode(answer)?;
    let path = save(run, path, &data).await?;
    Ok(Given::Binary { data, mime, path })
}

/// The `data` of an answer.
pub(super) fn decode(answer: (Value, Held)) -> Outcome<Bytes> {
    blob::data(answer).map_err(|error| failed("page_error", error.to_string()))
}

async fn metrics(run: &Run<'_>) -> Outcome<Value> {
    Ok(run.tab.call("Page.getLayoutMetrics", json!({}), run.left()).await?)
}

async fn page(run: &Run<'_>) -> Outcome<Box> {
    let metrics = metrics(run).await?;
    let side = |name: &str| {
        metrics
            .pointer(&format!("/cssContentSize/{name}"))
            .and_then(Value::as_f64)
            .unwrap_or(1.0)
            .clamp(1.0, SIDE)
    };
    let width = side("width");
    Ok(Box { x: 0.0, y: 0.0, width, height: side("height").min(PIXELS / width) })
}

/// The element's rectangle in the page. Chromium clips by the page's coordinates, not the viewport's.
async fn element(run: &Run<'_>, selector: &Selector) -> Outcome<Box> {
    let found = locate(run, selector, Need::Visible).await?;
    let area = found.state.area.unwrap_or_default();
    let metrics = metrics(run).await?;
    let scrolled = |name: &str| {
        metrics.pointer(&format!("/cssVisualViewport/{name}")).and_then(Value::as_f64).unwrap_or_default()
    };
    let (width, height) = (area.width.min(SIDE), area.height.min(SIDE));
    if width < 1.0 || height < 1.0 {
        return Err(failed(
            "invalid",
            format!("{} has no area to take a picture of", found.state.description),
        ));
    }
    Ok(Box {
        x: area.x + scrolled("pageX"),
        y: area.y + scrolled("pageY"),
        width,
        height: height.min(PIXELS / width),
    })
}
