//! MIME types by extension: a small table, because the recorded answers of the AWS service carry them and
//! browsers need them.

/// The type of a file by its name, as the AWS service names it (`text/x-python` for `.py`);
/// `application/octet-stream` if the extension says nothing.
pub(crate) fn of(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or(path);
    // `.csv` alone is a hidden file without an extension.
    let extension = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => extension.to_ascii_lowercase(),
        _ => String::new(),
    };
    match extension.as_str() {
        "txt" | "log" | "text" => "text/plain",
        "csv" => "text/csv",
        "tsv" => "text/tab-separated-values",
        "md" | "markdown" => "text/markdown",
        "htm" | "html" => "text/html",
        "css" => "text/css",
        "py" | "pyi" => "text/x-python",
        "js" | "mjs" | "cjs" => "text/javascript",
        "ts" | "mts" | "cts" => "text/x-typescript",
        "sh" => "application/x-sh",
        "sql" => "application/sql",
        "rst" => "text/x-rst",
        "c" | "h" => "text/x-c",
        "rs" => "text/x-rust",
        "json" | "ipynb" => "application/json",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "yaml" | "yml" => "application/yaml",
        "toml" => "application/toml",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "zip" | "whl" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "tar" => "application/x-tar",
        "bz2" => "application/x-bzip2",
        "xz" => "application/x-xz",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "xls" => "application/vnd.ms-excel",
        "parquet" => "application/vnd.apache.parquet",
        "sqlite" | "db" => "application/vnd.sqlite3",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// Whether content of this type is text, so that it travels as text if it is valid UTF-8. A file of unknown
/// type is not: bytes that happen to be UTF-8 must come back as the bytes that they are.
pub(crate) fn is_text(mime: &str) -> bool {
    mime.starts_with("text/")
        || matches!(
            mime,
            "application/json"
                | "application/x-ndjson"
                | "application/yaml"
                | "application/toml"
                | "application/xml"
                | "application/sql"
                | "application/x-sh"
                | "image/svg+xml"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_recorded_answers() {
        assert_eq!(of("data.csv"), "text/csv");
        assert_eq!(of("stats.py"), "text/x-python");
        assert_eq!(of("a/b.PNG"), "image/png");
        for unknown in ["Makefile", ".csv", "a.unknown", "", "dir.png/file"] {
            assert_eq!(of(unknown), "application/octet-stream", "{unknown}");
        }
    }
}
