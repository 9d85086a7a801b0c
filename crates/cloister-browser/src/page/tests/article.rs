//! Reading a page that looks like a real article.

use crate::trial::{Site, css, json, navigate, start, text};
use cloister_core::browser::page::{Extract, Step};
use serde_json::json;

const ARTICLE: &str = include_str!("article.html");

fn read(what: Extract) -> Step {
    Step::Extract { selector: None, what }
}

#[tokio::test]
async fn an_article_becomes_markdown_with_its_structure_and_without_what_nobody_sees() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let url = site.page("/notes", ARTICLE);
    trial.gives(navigate(&url)).await;
    let markdown = text(trial.gives(read(Extract::Markdown)).await);
    println!("{markdown}");
    let address = &site.address;
    for part in [
        "# Field notes on *moss*".to_owned(),
        format!("By **Ada**, with [a glossary]({address}/glossary?q=a%20b) and `wc -l`.  \nSecond line."),
        "It costs 3 \\* 4 = 12 \\[units\\].".to_owned(),
        "## What to bring\n\n- Boots\n- A lens\n  - 10×\n  - 20×".to_owned(),
        "3. Walk\n4. Look".to_owned(),
        "> Slow is smooth.".to_owned(),
        "```python\ndef f(x):\n    return x\n```".to_owned(),
        "| Species | Count |\n| --- | --- |\n| Bryum \\| silver | 12 |\n| Hypnum | 7 |".to_owned(),
        "![A cushion](data:)".to_owned(),
        "1\\. is no list here".to_owned(),
    ] {
        assert!(markdown.contains(&part), "{part:?} is missing from\n{markdown}");
    }
    assert!(!markdown.contains("Never seen") && !markdown.contains("var hidden"));
}

#[tokio::test]
async fn text_html_and_links_of_a_page_and_of_an_element() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let url = site.page("/notes", ARTICLE);
    trial.gives(navigate(&url)).await;
    let words = text(trial.gives(read(Extract::Text)).await);
    assert!(words.contains("What to bring") && !words.contains("Never seen"), "{words}");
    assert!(text(trial.gives(read(Extract::Html)).await).starts_with("<!DOCTYPE html>"));
    let part = Step::Extract { selector: Some(css("blockquote")), what: Extract::Text };
    assert_eq!(text(trial.gives(part).await), "Slow is smooth.");
    let links = json(trial.gives(read(Extract::Links)).await);
    assert_eq!(links[1], json!({"text": "About", "url": format!("{}/about", site.address)}));
}

#[tokio::test]
async fn a_page_that_overwrites_javascript_changes_nothing_of_what_is_read() {
    let Some(trial) = start().await else { return };
    trial
        .page("<h1>True</h1><script>Document.prototype.querySelectorAll = () => []; Array.prototype.map = () => ['spoofed']; String.prototype.replace = () => 'spoofed'; getComputedStyle = () => ({display: 'none'}); seen = Object.keys(window).filter(k => /cloister/i.test(k))</script>")
        .await;
    assert_eq!(text(trial.gives(read(Extract::Markdown)).await), "# True");
    assert_eq!(text(trial.gives(read(Extract::Text)).await), "True");
    assert_eq!(trial.value("seen").await, json!([]));
}
