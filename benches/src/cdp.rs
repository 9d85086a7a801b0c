//! A client of the Chrome DevTools Protocol: one call at a time, over whatever carries its messages.
//!
//! ```text
//! bench ─▶ Cdp::call ─▶ Wire ─┬─ WebSocket ─▶ the server's broker, or a plain browser's debugging port
//!                             └─ pipe ──────▶ a plain browser's debugging pipe
//! ```

use crate::failure::Failure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The size of every page and every picture: Playwright's default.
pub const SIZE: (u32, u32) = (1280, 720);
/// A page with something to draw.
const PAGE: &str = "document.body.innerHTML = '<h1>Forty-two</h1>' + '<p style=\"background:linear-gradient(#cde,#fed)\">\
                    The quick brown fox jumps over the lazy dog.</p>'.repeat(12); 42";

/// What carries messages.
pub trait Wire {
    /// Sends one.
    fn send(&mut self, text: &str) -> std::io::Result<()>;
    /// Waits for one.
    fn receive(&mut self) -> std::io::Result<Vec<u8>>;
}

/// A client.
pub struct Cdp {
    wire: Box<dyn Wire>,
    last: u32,
}

/// A page that a client is attached to: its session.
#[derive(Clone, Debug)]
pub struct Page(String);

impl Cdp {
    /// Over this wire.
    pub fn new(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), last: 0 }
    }

    /// One call, until its answer; what else arrives is thrown away.
    pub fn call(&mut self, page: Option<&Page>, method: &str, params: &Value) -> Result<Value, Failure> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let (Some(Page(session)), Some(members)) = (page, message.as_object_mut()) {
            members.insert("sessionId".to_owned(), session.as_str().into());
        }
        self.wire.send(&message.to_string()).map_err(Failure::io(method))?;
        loop {
            let text = self.wire.receive().map_err(Failure::io(method))?;
            let answer: Value =
                serde_json::from_slice(&text).map_err(|_| Failure::wrong(method, &text, "JSON"))?;
            if answer.get("id").and_then(Value::as_u64) != Some(u64::from(self.last)) {
                continue;
            }
            return answer.get("result").cloned().ok_or_else(|| Failure::wrong(method, &text, "result"));
        }
    }

    /// Asks the browser for its version: the first thing that any client does.
    pub fn version(&mut self) -> Result<(), Failure> {
        let method = "Browser.getVersion";
        let answer = self.call(None, method, &json!({}))?;
        let product = answer.get("product").and_then(Value::as_str).unwrap_or_default();
        if product.contains("Chrome") {
            return Ok(());
        }
        Err(Failure::wrong(method, answer.to_string().as_bytes(), "Chrome"))
    }

    /// Attaches to the first page; a plain browser opens it a moment after it answers.
    pub fn first_page(&mut self) -> Result<Page, Failure> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let since = Instant::now();
        let target = loop {
            let answer = self.call(None, "Target.getTargets", &json!({}))?;
            let targets = answer.get("targetInfos").and_then(Value::as_array);
            let page =
                targets.and_then(|all| all.iter().find(|t| text(t, "type").as_deref() == Some("page")));
            match page.and_then(|page| text(page, "targetId")) {
                Some(target) => break target,
                None if since.elapsed() < Duration::from_secs(10) => {}
                None => {
                    return Err(Failure::wrong("Target.getTargets", answer.to_string().as_bytes(), "a page"));
                }
            }
        };
        let method = "Target.attachToTarget";
        let answer = self.call(None, method, &json!({ "targetId": target, "flatten": true }))?;
        let session = text(&answer, "sessionId");
        session.map(Page).ok_or_else(|| Failure::wrong(method, answer.to_string().as_bytes(), "sessionId"))
    }

    /// The smallest round trip through a page.
    pub fn evaluate(&mut self, page: &Page) -> Result<(), Failure> {
        self.expression(page, "40 + 2")
    }

    /// Puts something to draw on a page.
    pub fn fill(&mut self, page: &Page) -> Result<(), Failure> {
        self.expression(page, PAGE)
    }

    fn expression(&mut self, page: &Page, expression: &str) -> Result<(), Failure> {
        let method = "Runtime.evaluate";
        let answer = self.call(Some(page), method, &json!({ "expression": expression }))?;
        if answer.pointer("/result/value").and_then(Value::as_u64) == Some(42) {
            return Ok(());
        }
        Err(Failure::wrong(method, answer.to_string().as_bytes(), "42"))
    }

    /// A picture of a page, which must be a PNG of [`SIZE`].
    pub fn screenshot(&mut self, page: &Page) -> Result<(), Failure> {
        let method = "Page.captureScreenshot";
        let answer = self.call(Some(page), method, &json!({ "format": "png" }))?;
        let data = answer.get("data").and_then(Value::as_str).unwrap_or_default();
        let size = BASE64_STANDARD.decode(data).ok().and_then(|png| size(&png));
        if size == Some(SIZE) {
            return Ok(());
        }
        Err(Failure::wrong(method, format!("a picture of {size:?}").as_bytes(), &format!("{SIZE:?}")))
    }

    /// Asks the browser to end.
    pub fn close(&mut self) -> Result<(), Failure> {
        self.call(None, "Browser.close", &json!({})).map(drop)
    }
}

/// Width and height of a PNG, from its first chunk.
fn size(png: &[u8]) -> Option<(u32, u32)> {
    let head = png.get(..24).filter(|head| head.starts_with(b"\x89PNG\r\n\x1a\n"))?;
    let side = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    Some((side(16)?, side(20)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it is told to, and keeps what was sent.
    struct Canned(Vec<&'static str>);

    impl Wire for Canned {
        fn send(&mut self, _: &str) -> std::io::Result<()> {
            Ok(())
        }

        fn receive(&mut self) -> std::io::Result<Vec<u8>> {
            Ok(self.0.remove(0).as_bytes().to_vec())
        }
    }

    #[test]
    fn an_answer_is_the_one_with_the_id_of_the_call_and_an_error_is_no_result() {
        let mut cdp = Cdp::new(Canned(vec![
            r#"{"method":"Target.targetCreated","params":{}}"#,
            r#"{"id":1,"result":{"product":"HeadlessChrome/1"}}"#,
            r#"{"id":2,"error":{"code":-1,"message":"no"}}"#,
        ]));
        cdp.version().unwrap();
        assert!(cdp.version().unwrap_err().to_string().contains("no"));
    }

    #[test]
    fn a_picture_says_its_size_and_other_bytes_have_none() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x05\0\0\0\x02\xd0\x08";
        assert_eq!(size(png), Some(SIZE));
        assert_eq!(size(b"GIF89a, which is longer than a head of 24 bytes"), None);
    }
}
