//! The contract of the file tools: exact bytes, all or nothing, and nothing that a hostile name or node could do to them.
#![expect(clippy::panic, reason = "helpers of tests: a failure here is a failed test")]

use cloister_core::command::ToolCall;
use cloister_core::event::{EntryKind, Outcome};
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Session, plain};
use cloister_tests::tiers::on_each_tier;

const MIB: usize = 1 << 20;

/// Bytes without a pattern that a text layer or a compressor could hide a fault in (xorshift64).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

async fn remove(session: &Session, paths: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
    match session.tool(ToolCall::RemoveFiles { paths: paths.iter().map(|&p| p.to_owned()).collect() }).await {
        Outcome::Removed { removed, failed } => {
            (removed, failed.into_iter().map(|f| (f.path, f.reason)).collect())
        }
        other => panic!("removeFiles ended with {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_content_and_size_come_back_byte_for_byte() {
    on_each_tier(plain(), async |session| {
        for size in [0, 1, 65_535, 65_536, MIB + 1, 20 * MIB] {
            let data = noise(size);
            let written = session.write(&[("f.bin", &data)]).await.unwrap();
            assert_eq!(written, [("f.bin".to_owned(), size as u64)]);
            assert!(session.read("f.bin").await.unwrap() == data, "{size} bytes came back different");
        }
        // What the guest sees is the same, and so is what it makes.
        let ran = session.python("import hashlib\nd = open('f.bin', 'rb').read()\nopen('back.bin', 'wb').write(d[::-1])\nlen(d)").await;
        assert_eq!(ran.text(), (20 * MIB).to_string());
        let reversed: Vec<u8> = noise(20 * MIB).into_iter().rev().collect();
        assert!(session.read("back.bin").await.unwrap() == reversed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_several_files_happens_whole_or_not_at_all() {
    on_each_tier(plain(), async |session| {
        session.write(&[("old", b"before"), ("dir/inner", b"x")]).await.unwrap();
        let failing: [(&str, &[u8]); 4] =
            [("old", b"after"), ("new/deep", b"y"), ("dir", b"is a directory"), ("last", b"z")];
        let message = session.write(&failing).await.unwrap_err();
        assert!(
            message.contains("nothing was written") && message.contains("dir: is a directory"),
            "{message}"
        );
        assert_eq!(session.read("old").await.unwrap(), "before");
        assert_eq!(session.names(".").await, ["dir", "old"]);

        for (path, words) in [
            ("/usr/bin/new", "read-only"),
            ("../out", "leaves the workspace"),
            ("a\0b", "NUL"),
            ("old/below", "not a directory"),
            ("", "empty"),
            ("slash/", "is a directory"),
        ] {
            let message = session.write(&[("first", b"1"), (path, b"2")]).await.unwrap_err();
            assert!(message.contains(words), "{path:?}: {message}");
            assert_eq!(session.names(".").await, ["dir", "old"], "after {path:?}");
        }
        session.write(&[("old", b"after"), ("new/deep", b"y"), ("/tmp/outside", b"z")]).await.unwrap();
        assert_eq!(session.read("old").await.unwrap(), "after");
        assert_eq!(session.read("/tmp/outside").await.unwrap(), "z");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_are_named_and_the_others_are_still_read() {
    on_each_tier(plain(), async |session| {
        session.write(&[("a", b"1"), ("b", b"2")]).await.unwrap();
        let paths = ["a", "gone", "b", "dir/none", "."].map(str::to_owned).to_vec();
        let Outcome::Files { files, failed } = session.tool(ToolCall::ReadFiles { paths }).await else {
            panic!("no files")
        };
        assert_eq!(
            files.iter().map(|f| (f.path.as_str(), f.data.as_ref())).collect::<Vec<_>>(),
            [("a", &b"1"[..]), ("b", &b"2"[..])]
        );
        let named: Vec<_> = failed.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(named, ["gone", "dir/none", "."]);
        assert!(failed[0].reason.contains("gone: no such file"), "{failed:?}");
        assert!(failed[2].reason.contains("is a directory"), "{failed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_sorted_typed_and_one_level_deep() {
    in_session(plain(), async |session| {
        session.write(&[("b.txt", b"12345"), ("a dir/inner", b"x"), ("ü", b"")]).await.unwrap();
        session.shell("ln -s b.txt link; mkfifo pipe; ln -s /nowhere dangling").await;
        let Outcome::Listing { entries, truncated } =
            session.tool(ToolCall::ListFiles { path: String::new() }).await
        else {
            panic!("no listing")
        };
        assert!(!truncated);
        let seen: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind, e.size)).collect();
        assert_eq!(
            seen,
            [
                ("a dir", EntryKind::Directory, 0),
                ("b.txt", EntryKind::File, 5),
                ("dangling", EntryKind::Symlink, 0),
                ("link", EntryKind::Symlink, 0),
                ("pipe", EntryKind::Other, 0),
                ("ü", EntryKind::File, 0),
            ]
        );
        assert_eq!(session.names("a dir").await, ["inner"]);
        assert_eq!(session.names("/workspace/a dir").await, ["inner"]);
        let failed = session.tool(ToolCall::ListFiles { path: "gone".into() }).await;
        assert!(
            matches!(&failed, Outcome::Failed { message } if message.contains("gone: no such file")),
            "{failed:?}"
        );
        let failed = session.tool(ToolCall::ListFiles { path: "b.txt".into() }).await;
        assert!(
            matches!(&failed, Outcome::Failed { message } if message.contains("not a directory")),
            "{failed:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_many_thousand_files_is_listed_in_part_and_the_answer_says_so() {
    on_each_tier(plain(), async |session| {
        let ran = session
            .python("import os\nos.mkdir('many')\nfor n in range(12000): open(f'many/{n}', 'w').close()")
            .await;
        assert!(ran.execution.error.is_none(), "{ran:?}");
        let Outcome::Listing { entries, truncated } =
            session.tool(ToolCall::ListFiles { path: "many".into() }).await
        else {
            panic!("no listing")
        };
        assert!(truncated && entries.len() == 10_000, "{} entries", entries.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_text_are_encoded_and_break_nothing() {
    on_each_tier(plain(), async |session| {
        session
            .python("import os\nfor n in (b'\\xff', b'new\\nline', b'esc\\x1b[31m'): open(n, 'w').close()")
            .await;
        assert_eq!(
            session.names(".").await,
            ["%FF", "esc%1B%5B31m", "new%0Aline"].map(|n| n.replace("%5B", "["))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_takes_trees_and_links_names_what_is_missing_and_never_the_workspace() {
    in_session(plain(), async |session| {
        session
            .write(&[("tree/a/b/c", b"1"), ("tree/d", b"2"), ("keep/f", b"3"), ("file", b"4")])
            .await
            .unwrap();
        session.shell("ln -s keep link; mkfifo pipe; chmod 0 tree/a/b/c; chmod 500 tree/a/b").await;
        let (removed, failed) =
            remove(session, &["tree", "link", "pipe", "gone", ".", "/usr/bin/env", "file"]).await;
        // A directory without write permission needs a chmod of its owner first, as with rm.
        let tree = removed.iter().any(|p| p == "tree");
        let of_others: Vec<_> = removed.iter().filter(|p| *p != "tree").collect();
        assert_eq!(of_others, ["link", "pipe", "file"]);
        let named: Vec<_> = failed.iter().map(|(p, _)| p.as_str()).filter(|p| *p != "tree").collect();
        assert_eq!(named, ["gone", ".", "/usr/bin/env"], "{failed:?}");
        assert_eq!(session.read("keep/f").await.unwrap(), "3", "a link is removed, not what it points to");
        if !tree {
            session.shell("chmod -R u+rwx tree").await;
            assert_eq!(remove(session, &["tree"]).await.0, ["tree"]);
        }
        assert_eq!(session.names(".").await, ["keep"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_very_deep_tree_is_refused_with_advice_and_stalls_nobody() {
    in_session(plain(), async |session| {
        let ran = session
            .python(
                "import os\nfor n in range(4000):\n    os.mkdir('d'); os.chdir('d')\nos.chdir('/workspace')",
            )
            .await;
        assert!(ran.execution.error.is_none(), "{ran:?}");
        let (removed, failed) = remove(session, &["d"]).await;
        assert!(removed.is_empty() && failed.iter().all(|(_, why)| why.contains("rm -rf")), "{failed:?}");
        assert_eq!(session.shell("rm -rf d; ls").await.stdout, "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipes_devices_and_links_do_not_stall_or_mislead_the_file_tools() {
    in_session(plain(), async |session| {
        session.shell("mkfifo pipe; ln -s /dev/zero zero; ln -s /proc/self/environ env; ln -s loop loop; mkdir dir; echo real > real; ln -s real link").await;
        for (path, words) in [("pipe", "not a regular file"), ("zero", "not a regular file"), ("env", ""), ("/proc/1/environ", ""), ("loop", ""), ("dir", "is a directory"), ("/dev/full", "not a regular file")] {
            let reason = session.read(path).await.unwrap_err();
            assert!(reason.contains(words), "{path}: {reason}");
        }
        assert_eq!(session.read("link").await.unwrap(), "real\n");

        // A write puts a new file in the place of a link or a pipe: what the link points to is not touched, and no reader is needed.
        session.write(&[("link", b"new"), ("pipe", b"now a file")]).await.unwrap();
        assert_eq!(session.read("real").await.unwrap(), "real\n");
        assert_eq!(session.read("pipe").await.unwrap(), "now a file");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_exact_and_say_the_size_of_the_whole() {
    on_each_tier(plain(), async |session| {
        let data = noise(3 * MIB);
        session.write(&[("f", &data)]).await.unwrap();
        for (offset, length) in [
            (0, 10),
            (1_000_003, 65_537),
            (3 * MIB - 5, 100),
            (3 * MIB, 1),
            (usize::MAX >> 1, 1),
            (0, usize::MAX),
        ] {
            let call = ToolCall::ReadRange { path: "f".into(), offset: offset as u64, length: length as u64 };
            let Outcome::Range { size, modified, data: range } = session.tool(call).await else {
                panic!("no range")
            };
            assert_eq!(size, 3 * MIB as u64);
            assert!(modified > 1_600_000_000);
            let from = offset.min(data.len());
            let to = offset.saturating_add(length).min(data.len());
            assert!(range == data[from..to], "{offset}+{length}: {} bytes", range.len());
        }
        let failed = session.tool(ToolCall::ReadRange { path: "gone".into(), offset: 0, length: 1 }).await;
        assert!(
            matches!(&failed, Outcome::Failed { message } if message.contains("no such file")),
            "{failed:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_reports_the_files_that_it_created_or_changed_with_their_sizes() {
    on_each_tier(plain(), async |session| {
        session.write(&[("old", b"1"), ("same", b"1")]).await.unwrap();
        let code = "import os\nopen('new.csv', 'w').write('a,b')\nopen('old', 'a').write('23')\nos.makedirs('sub/dir'); open('sub/dir/f', 'w').write('xyz!')\nopen('/tmp/elsewhere', 'w').write('t')\nopen('temp', 'w').close(); os.remove('temp')";
        let ran = session.python(code).await;
        assert_eq!(ran.files(), [("new.csv", 3, true), ("old", 3, false), ("sub/dir/f", 4, true)]);
        assert!(session.python("open('old').read();").await.files().is_empty(), "reading is no change");
        let code = "open('old', 'w').write('12345'); os.rename('new.csv', 'renamed.csv')";
        let ran = session.python(code).await;
        assert_eq!(ran.files(), [("old", 5, false), ("renamed.csv", 3, true)]);
        let ran = session.python("raise ValueError(open('kept', 'w').write('k'))").await;
        assert_eq!(ran.files(), [("kept", 1, true)], "a call that fails reports as well");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_changed_files_are_reported() {
    let mut policy = plain();
    policy.output.files_max = 5;
    on_each_tier(policy, async |session| {
        let ran = session.python("for n in range(7): open(f'f{n}', 'w').write('x')").await;
        assert_eq!(ran.files().len(), 5);
        assert!(ran.execution.files_truncated);
        let ran = session.python("for n in range(5): open(f'f{n}', 'w').write('xy')").await;
        assert!(ran.files().len() == 5 && !ran.execution.files_truncated, "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_tools_work_while_a_call_is_running() {
    in_session(plain(), async |session| {
        let waiting = session
            .python("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nopen('go').read()");
        let helping = async {
            session.write(&[("go", b"went")]).await.unwrap();
            session.names(".").await
        };
        let (ran, names) = tokio::join!(waiting, helping);
        assert_eq!(ran.text(), "'went'");
        assert_eq!(names, ["go"]);
    })
    .await;
}
