//! Files over plain HTTP: up, down, ranges, and names that want to be something else.

use crate::server::{Call, Server};
use serde_json::json;

struct Files {
    server: Server,
    id: String,
}

impl Files {
    async fn new() -> Self {
        let server = Server::new().await;
        let id = server.session().await;
        Self { server, id }
    }

    fn call(&self, method: &str, path: &str) -> Call {
        self.server.request(method, &format!("/v1/sessions/{}/files{path}", self.id))
    }

    async fn put(&self, path: &str, data: impl Into<bytes::Bytes>) {
        let answer = self.call("PUT", path).body(data).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn a_file_goes_up_and_comes_down_byte_for_byte() {
    let files = Files::new().await;
    let data: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    files.put("/d/a%20b.bin", data.clone()).await;
    let answer = files.call("GET", "/d/a%20b.bin").send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, data);
    assert_eq!(answer.header("content-length"), "100000");
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    let head = files.call("HEAD", "/d/a%20b.bin").send().await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "100000", 0));
    let list = files.call("GET", "?path=d").send().await.json();
    assert_eq!(list["entries"][0]["name"], "a b.bin");
    assert_eq!(list["entries"][0]["url"], format!("/v1/sessions/{}/files/d/a%20b.bin", files.id));
    assert_eq!(files.call("DELETE", "/d/a%20b.bin").send().await.status, 204);
    assert_eq!(files.call("GET", "/d/a%20b.bin").send().await.status, 404);
    assert_eq!(files.call("DELETE", "/d/a%20b.bin").send().await.status, 404);
    assert_eq!(files.call("GET", "?path=nowhere").send().await.status, 404);
}

#[tokio::test]
async fn a_large_file_comes_in_many_chunks_and_whole() {
    let files = Files::new().await;
    let data: Vec<u8> = (0..u32::try_from(10 << 20).unwrap()).map(|n| (n / 4_099) as u8).collect();
    files.put("/big", data.clone()).await;
    assert_eq!(files.call("GET", "/big").send().await.body, data);
    let range = files.call("GET", "/big").header("range", "bytes=4194300-9000000").send().await;
    assert_eq!(range.status, 206);
    assert_eq!(range.body, data[4_194_300..=9_000_000]);
}

#[tokio::test]
async fn single_ranges_are_answered_and_all_others_refused() {
    let files = Files::new().await;
    files.put("/f", "0123456789").await;
    let get = |range: &str| files.call("GET", "/f").header("range", range).send();
    for (range, expected, content) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-2", "bytes 8-9/10", "89"),
        ("bytes=5-99", "bytes 5-9/10", "56789"),
    ] {
        let answer = get(range).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-range"), answer.text()),
            (206, expected, content)
        );
        assert_eq!(answer.header("content-length"), content.len().to_string());
    }
    let many = format!("bytes={}", vec!["0-9"; 5_000].join(","));
    for range in [
        "bytes=10-",
        "bytes=4-2",
        "bytes=-0",
        "bytes=x",
        "bytes=0-1,3-4",
        "bytes=99999999999999999999-",
        &many,
    ] {
        let answer = get(range).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-range")),
            (416, "bytes */10"),
            "{}",
            &range[..range.len().min(40)]
        );
    }
    assert_eq!(get("lines=1-2").await.status, 200);
    files.put("/empty", "").await;
    assert_eq!(files.call("GET", "/empty").send().await.body.len(), 0);
    assert_eq!(files.call("GET", "/empty").header("range", "bytes=0-").send().await.status, 416);
}

#[tokio::test]
async fn a_known_version_is_not_sent_again_and_a_range_of_another_one_becomes_the_whole_file() {
    let files = Files::new().await;
    files.put("/f", "0123456789").await;
    let first = files.call("GET", "/f").send().await;
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && !first.header("last-modified").is_empty());
    let again = files.call("GET", "/f").header("if-none-match", &etag).send().await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    let ranged = |condition: &str| {
        files.call("GET", "/f").header("range", "bytes=0-0").header("if-range", condition).send()
    };
    assert_eq!(ranged(&etag).await.status, 206);
    assert_eq!(ranged("\"other\"").await.status, 200);
    assert_eq!(ranged(&format!("W/{etag}")).await.status, 200);
}

#[tokio::test]
async fn content_from_a_sandbox_never_opens_as_a_page_of_this_server() {
    let files = Files::new().await;
    for (path, kind) in [("/a.html", "text/html"), ("/a.svg", "image/svg+xml"), ("/a.js", "text/javascript")]
    {
        files.put(path, "<script>alert(1)</script>").await;
        let answer = files.call("GET", path).send().await;
        assert_eq!(answer.header("content-type"), kind);
        assert!(answer.header("content-disposition").starts_with("attachment; "));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").starts_with("sandbox"));
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
    let name = "/%22%0d%0aSet-Cookie:%20x=1;.html";
    files.put(name, "x").await;
    let answer = files.call("GET", name).send().await;
    assert!(!answer.headers.contains_key("set-cookie"));
    assert_eq!(answer.headers.get_all("content-disposition").iter().count(), 1);
    assert!(answer.header("content-disposition").contains("filename*=UTF-8''%22%0D%0ASet-Cookie"));
}

#[tokio::test]
async fn paths_that_leave_the_workspace_are_refused_on_every_method() {
    let files = Files::new().await;
    for path in [
        "/../x",
        "/a/../../x",
        "/%2e%2e/x",
        "/..%2fx",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/a//b",
        "/a%00b",
        "/%ff",
        "/%zz",
        "/a/",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let answer = files.call(method, path).send().await;
            assert_eq!(answer.status, 400, "{method} {path}");
        }
    }
    // Decoded once: this is an odd name and no path.
    assert_eq!(files.call("GET", "/%252e%252e%252fx").send().await.status, 404);
    for path in ["..", "a/../..", "a%00"] {
        assert_eq!(files.call("GET", &format!("?path={path}")).send().await.status, 400);
    }
}

#[tokio::test]
async fn an_upload_above_the_limit_leaves_nothing() {
    let files = Files::new().await;
    let answer = files.call("PUT", "/big").body(vec![0; 100_000_001]).send().await;
    assert_eq!(answer.status, 413);
    assert_eq!(files.call("GET", "").send().await.json()["entries"], json!([]));
}

#[tokio::test]
async fn files_of_an_unknown_session_are_not_found() {
    let files = Files::new().await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer =
            files.server.request(method, "/v1/sessions/01K00Z3F8WZ9KBBW4QGRJCVBHH/files/x").send().await;
        assert_eq!(answer.status, 404, "{method}");
    }
}
