//! Errors of the kernel in the words of those who got them: libc, Python, Node, Deno, shells, curl.
//!
//! ```text
//!   "[Errno 30] …" · "(os error 30)" · "EROFS: …" · "PROGRAM: PATH: Read-only file system" ─▶ Sign::ReadOnly, the paths
//! ```
//!
//! Strict about the form, since programs speak of permissions and quotas of their own: a number, a name, or libc's words at the end of a
//! line behind a colon.

/// Bytes of a line in which an error is looked for; longer ones are data.
const LINE: usize = 1024;
/// Bytes of the part of a path that is named.
const NAME: usize = 32;

/// What an error's words mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// EROFS
    ReadOnly,
    /// EACCES
    Access,
    /// EPERM
    Privilege,
    /// ENOSPC, EDQUOT
    Space,
    /// The same, where it is the number of files.
    Entries,
    /// EFBIG
    FileSize,
    /// EMFILE
    OpenFiles,
    /// ENOMEM
    Memory,
    /// EAGAIN of a fork
    Processes,
    /// EAI_AGAIN, ENETUNREACH
    Network,
    /// EPERM of a mapping that is to be executed
    Mapping,
}

/// Number and name (errno(3)), what libc says (strerror(3)), and what it means.
const ERRORS: &[(i32, &str, &str, Sign)] = &[
    (30, "EROFS", "read-only file system", Sign::ReadOnly),
    (13, "EACCES", "permission denied", Sign::Access),
    (1, "EPERM", "operation not permitted", Sign::Privilege),
    (28, "ENOSPC", "no space left on device", Sign::Space),
    (122, "EDQUOT", "disk quota exceeded", Sign::Space),
    (27, "EFBIG", "file too large", Sign::FileSize),
    (24, "EMFILE", "too many open files", Sign::OpenFiles),
    (12, "ENOMEM", "cannot allocate memory", Sign::Memory),
    (101, "ENETUNREACH", "network is unreachable", Sign::Network),
    (-3, "EAI_AGAIN", "temporary failure in name resolution", Sign::Network),
    (-2, "EAI_NONAME", "name or service not known", Sign::Network),
];

/// What programs say in words of their own, small letters; nothing else is said so.
const PHRASES: &[(&str, Sign)] = &[
    // The file tools of this server.
    (": read-only: the image cannot be changed", Sign::ReadOnly),
    ("disk quota: the session's storage is full", Sign::Space),
    (", and one file may have at most ", Sign::FileSize),
    ("can't start new thread", Sign::Processes),
    ("fork: retry: resource temporarily unavailable", Sign::Processes),
    (": fork: resource temporarily unavailable", Sign::Processes),
    (" eagain", Sign::Processes),
    ("curl: (6) could not resolve host: ", Sign::Network),
    (": unable to resolve host address", Sign::Network),
    ("fatal: unable to access 'http", Sign::Network),
    ("getaddrinfo eai_again", Sign::Network),
    ("getaddrinfo enotfound", Sign::Network),
    ("failed to lookup address information", Sign::Network),
    ("database or disk is full", Sign::Space),
    ("failed to map segment from shared object", Sign::Mapping),
];

/// What a line says, if it says it in one of the forms.
pub(super) fn sign(line: &str) -> Option<Sign> {
    if line.len() > LINE {
        return None;
    }
    let small = line.trim_end().to_ascii_lowercase();
    let phrase = PHRASES.iter().find(|(words, sign)| small.contains(words) && is_meant(&small, *sign));
    phrase.map(|(_, sign)| *sign).or_else(|| {
        let said = |(number, name, words, sign): &&(i32, &str, &str, Sign)| {
            let by_number =
                line.contains(&format!("[Errno {number}]")) || line.contains(&format!("(os error {number})"));
            // `EROFS: read-only file system, open '/etc/x'`, `spawn ./a EACCES`
            let by_name = line.contains(&format!("{name}: "))
                || small.starts_with("spawn") && line.trim_end().ends_with(&format!(" {name}"));
            // `echo: write error: File too large`; without the verb it is an application's opinion of an upload.
            let by_words =
                small.ends_with(&format!(": {words}")) && (*sign != Sign::FileSize || small.contains("writ"));
            by_number || by_name || by_words
        };
        ERRORS.iter().find(said).map(|(_, _, _, sign)| *sign)
    })
}

/// Words that others use as well: EAGAIN is also what a socket that is not ready says, and git is "unable to access" whatever HTTP refuses.
fn is_meant(line: &str, sign: Sign) -> bool {
    match sign {
        Sign::Processes => ["thread", "fork", "spawn"].iter().any(|word| line.contains(word)),
        Sign::Network => !line.contains("unable to access") || line.contains("could not resolve host"),
        _ => true,
    }
}

/// Whether a line of a traceback is an exception and its message, and neither code nor a frame.
pub(super) fn is_error(line: &str) -> bool {
    let line = line.trim_start().strip_prefix("[cause]: ").unwrap_or(line);
    let name = line.split_once(": ").map_or("", |(name, _)| name);
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
    plain && ["rror", "Exception", "Denied"].iter().any(|end| name.ends_with(end))
}

/// The paths that a line names: between quotation marks, or between colons, or at the end of what stands there.
pub(super) fn paths(line: &str) -> Vec<&str> {
    let is_path = |part: &&str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "?*<>|&;".contains(c))
    };
    let quoted: Vec<_> = quoted(line).into_iter().filter(is_path).collect();
    if !quoted.is_empty() {
        return quoted;
    }
    if let Some(program) = line.strip_prefix("spawn") {
        // `spawnSync ./mine EACCES`
        return program.split_whitespace().nth(usize::from(!program.starts_with(' '))).into_iter().collect();
    }
    let named = |part: &&str| part.starts_with(['/', '.']) && is_path(part);
    let mut parts = line.split(": ").map(str::trim);
    let (first, rest) = (parts.next(), parts.collect::<Vec<_>>());
    // `/bin/sh: 1: cannot create /etc/x: Read-only file system`
    let words = rest.iter().filter_map(|part| part.split_whitespace().next_back());
    let paths: Vec<_> = words.filter(named).collect();
    // `PATH: reason`; where more stands between, the first is who speaks.
    if paths.is_empty() && (rest.len() == 1 || rest.first() == Some(&"read-only")) {
        return first.filter(named).into_iter().collect();
    }
    paths
}

/// What stands in quotation marks: `'a'`, `"a"`, `‘a’`. An apostrophe inside of a word (can't) is none.
fn quoted(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match open {
            None if matches!(c, '\'' | '"') && !before.is_alphanumeric() => open = Some((at + 1, c)),
            None if c == '‘' => open = Some((at + c.len_utf8(), '’')),
            Some((from, end)) if c == end => {
                found.push(&line[from..at]);
                open = None;
            }
            _ => {}
        }
        before = c;
    }
    found
}

/// Whether a path lies in one of the places. A relative one does: it begins in the workspace, as far as anybody can tell.
pub(super) fn own_place(places: &[String], path: &str) -> bool {
    let within = |place: &String| {
        path.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    !path.starts_with('/') || places.iter().any(within)
}

/// The first folder of an absolute path, `/etc`; `None` for one that is no ordinary name.
pub(super) fn top(path: &str) -> Option<String> {
    let name = path.strip_prefix('/')?.split('/').next()?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    (plain && name.len() <= NAME).then(|| format!("/{name}"))
}
