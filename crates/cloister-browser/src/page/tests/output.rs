//! What is taken out of a page: pictures, PDF, values, cookies, logs; and what is put in: files.

use crate::trial::{Site, css, json, navigate, start};
use cloister_core::browser::page::{Cookie, Format, Given, Step};
use serde_json::json;

fn picture(full_page: bool, format: Format) -> Step {
    Step::Screenshot { selector: None, full_page, format, path: None }
}

fn size_of_png(data: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test]
async fn pictures_of_viewport_page_and_element_have_their_sizes_and_are_saved() {
    let Some(trial) = start().await else { return };
    trial.page("<body style='margin:0'><div style='height:2000px;background:linear-gradient(red,blue)'></div><div id=box style='width:120px;height:80px;background:lime;margin:10px'>日本語 👋</div>").await;
    let Given::Binary { data, mime, .. } = trial.gives(picture(false, Format::Png)).await else { panic!() };
    assert_eq!((size_of_png(&data), mime), ((1000, 700), "image/png"));
    let Given::Binary { data, .. } = trial.gives(picture(true, Format::Png)).await else { panic!() };
    assert_eq!(size_of_png(&data), (1000, 2100));
    if let Some(keep) = std::env::var_os("KEEP_PICTURES") {
        std::fs::write(std::path::Path::new(&keep).join("full-page.png"), &data).unwrap();
    }
    let step = Step::Screenshot {
        selector: Some(css("#box")),
        full_page: false,
        format: Format::Png,
        path: Some("shots/box.png".into()),
    };
    let Given::Binary { data, path, .. } = trial.gives(step).await else { panic!() };
    assert_eq!(size_of_png(&data), (120, 80));
    assert_eq!(std::fs::read(trial.file(&path.unwrap())).unwrap(), data);
    let Given::Binary { data, mime, .. } = trial.gives(picture(false, Format::Jpeg(60))).await else {
        panic!()
    };
    assert!(data.starts_with(b"\xff\xd8") && mime == "image/jpeg");
    let step = Step::Screenshot {
        selector: None,
        full_page: false,
        format: Format::Png,
        path: Some("../x.png".into()),
    };
    assert_eq!(trial.fails(step, 5).await.code, "invalid");
    let Given::Binary { data, mime, .. } = trial.gives(Step::Pdf { path: Some("page.pdf".into()) }).await
    else {
        panic!()
    };
    assert!(data.starts_with(b"%PDF-") && mime == "application/pdf");
    assert!(trial.file("page.pdf").exists());
}

#[tokio::test]
async fn an_evaluation_takes_expressions_statements_and_promises_and_reports_exceptions() {
    let Some(trial) = start().await else { return };
    trial.page("<p>x").await;
    for (expression, value) in [
        ("1 + 1", json!(2)),
        ("const x = [1]; x.push('語'); x", json!([1, "語"])),
        ("const x = 2; x", json!(2)),
        ("await new Promise(r => setTimeout(() => r({a: null}), 10))", json!({"a": null})),
        ("return document.querySelector('p').textContent", json!("x")),
        ("undefined", json!(null)),
        ("NaN", json!("NaN")),
    ] {
        assert_eq!(trial.value(expression).await, value, "{expression}");
    }
    for expression in ["throw new TypeError('no way')", "nonsense(", "Promise.reject(new Error('no way'))"] {
        let error = trial.fails(Step::Evaluate { expression: expression.into() }, 5).await;
        assert!(error.code == "page_error" && !error.message.is_empty(), "{expression}: {error:?}");
    }
}

#[tokio::test]
async fn cookies_are_set_read_and_removed() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    trial.gives(navigate(&site.page("/", "<p>x"))).await;
    let cookie = Cookie {
        name: "n".into(),
        value: "v".into(),
        http_only: true,
        same_site: Some("Lax".into()),
        ..Cookie::default()
    };
    trial.gives(Step::SetCookies { cookies: vec![cookie] }).await;
    assert_eq!(trial.value("document.cookie").await, json!(""));
    let cookies = json(trial.gives(Step::Cookies { urls: vec![] }).await);
    assert_eq!(
        (&cookies[0]["name"], &cookies[0]["value"], &cookies[0]["httpOnly"]),
        (&json!("n"), &json!("v"), &json!(true))
    );
    trial.gives(Step::ClearCookies).await;
    assert_eq!(json(trial.gives(Step::Cookies { urls: vec![site.address.clone()] }).await), json!([]));
    let wrong = Cookie { name: "n".into(), same_site: Some("Maybe".into()), ..Cookie::default() };
    assert_eq!(trial.fails(Step::SetCookies { cookies: vec![wrong] }, 5).await.code, "invalid");
}

#[tokio::test]
async fn the_log_has_console_errors_dialogs_and_requests_from_the_start_of_the_page() {
    let Some(trial) = start().await else { return };
    let site = Site::start().await;
    let url = site.page("/", "<script>console.log('first', {a: 1}); console.error('bad'); alert('hello'); setTimeout(() => { throw new Error('late') }); fetch('/gone')</script>");
    trial.gives(navigate(&url)).await;
    trial.value("new Promise(done => setTimeout(done, 200))").await;
    let console = json(trial.gives(Step::Console).await).to_string();
    for part in ["first", "a: 1", "bad", "alert: hello", "Error: late"] {
        assert!(console.contains(part), "{part} is not in {console}");
    }
    let network = json(trial.gives(Step::Network).await);
    let gone = network["requests"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["url"] == json!(format!("{}/gone", site.address)))
        .unwrap();
    assert_eq!((&gone["status"], &gone["kind"]), (&json!(404), &json!("Fetch")), "{network}");
}

#[tokio::test]
async fn files_of_the_session_go_into_a_file_input_and_others_do_not() {
    let Some(trial) = start().await else { return };
    std::fs::write(trial.file("a.txt"), "hello 語").unwrap();
    trial.page("<input type=file id=f hidden multiple><input id=t>").await;
    trial.gives(Step::Upload { selector: css("#f"), paths: vec!["a.txt".into()] }).await;
    assert_eq!(trial.value("f.files[0].text()").await, json!("hello 語"));
    for path in ["/etc/passwd", "../home/x"] {
        let error = trial.fails(Step::Upload { selector: css("#f"), paths: vec![path.into()] }, 5).await;
        assert_eq!(error.code, "invalid", "{path}");
    }
    let absent = Step::Upload { selector: css("#f"), paths: vec!["b.txt".into()] };
    assert_eq!(trial.fails(absent, 5).await.code, "not_found");
    let wrong = Step::Upload { selector: css("#t"), paths: vec!["a.txt".into()] };
    assert_eq!(trial.fails(wrong, 5).await.code, "invalid");
}
