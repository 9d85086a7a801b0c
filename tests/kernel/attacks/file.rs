//! FILE: the file tools as a client may abuse them. What HTTP adds to it is in `tests/api`.

use super::{attack, small_storage};
use bytes::Bytes;
use cloister_core::command::{NewFile, ToolCall};
use cloister_core::event::Outcome;
use cloister_tests::rig::{Rig, plain};
use cloister_tests::tiers::on_each_tier;

/// FILE-01: ways out of the workspace in every path of every tool.
#[tokio::test(flavor = "multi_thread")]
async fn no_tool_takes_a_relative_path_out_of_the_workspace() {
    attack(plain(), async |a| {
        let outs = [
            "../x",
            "..",
            "a/../../x",
            "./../x",
            "../workspace-other/x",
            "a/b/../../../../etc/passwd",
            "..\0",
            "x\0y",
            "../../../../../../../../etc/passwd",
            "",
        ];
        let encoded = ["%2e%2e/x", "..%2fx", "%252e%252e%252fx", "..\\x", "..%00/x"];
        for path in outs {
            assert!(a.read(path).await.is_err(), "read {path:?}");
            assert!(a.session.write(&[(path, b"x")]).await.is_err(), "written {path:?}");
            let range = ToolCall::ReadRange { path: path.into(), offset: 0, length: 1 };
            assert!(matches!(a.tool(range).await, Outcome::Failed { .. }), "range {path:?}");
            let removed = a.tool(ToolCall::RemoveFiles { paths: vec![path.into()] }).await;
            assert!(
                matches!(&removed, Outcome::Removed { removed, .. } if removed.is_empty()),
                "{path:?}: {removed:?}"
            );
            if !path.is_empty() {
                assert!(
                    matches!(a.tool(ToolCall::ListFiles { path: path.into() }).await, Outcome::Failed { .. }),
                    "listed {path:?}"
                );
            }
        }
        for path in encoded {
            // Not decoded by anybody: such a name is a name.
            assert!(a.read(path).await.is_err(), "read {path:?}");
            if a.session.write(&[(path, b"x")]).await.is_ok() {
                assert!(
                    a.shell("ls -A / /workspace-other 2>/dev/null | grep -x x").await.stdout.is_empty(),
                    "{path:?} was decoded"
                );
            }
        }
        for path in ["/x", "/opt/x", "/usr/bin/x", "/proc/x", "/dev/x", "/sys/x", "/run/x", "/etc/x"] {
            assert!(a.session.write(&[(path, b"x")]).await.is_err(), "{path} was written");
        }
        a.shell("find . -mindepth 1 -delete").await;
    })
    .await;
}

/// FILE-02: the workspace itself, the root, and directories that are links, as the object of a listing or a removal.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_takes_neither_the_root_nor_the_workspace_nor_what_a_link_points_to() {
    attack(plain(), async |a| {
        a.python("os.makedirs('kept/deep'); open('kept/deep/file', 'w').write('x'); os.symlink('kept', 'link'); os.symlink('/', 'root'); os.symlink('/usr', 'kept/usr')").await;
        let all = ["/", ".", "./", "", "/workspace", "/workspace/", "/workspace/.", "kept/..", "/usr", "/etc/passwd", "/proc", "/dev/shm", "/tmp", "/home/agent", "root/usr", "root/workspace"];
        let outcome = a.tool(ToolCall::RemoveFiles { paths: all.map(String::from).into() }).await;
        let Outcome::Removed { removed, failed } = outcome else { panic!("{outcome:?}") };
        assert_eq!((removed, failed.len()), (vec![], all.len()), "{failed:?}");
        assert!(a.read("kept/deep/file").await.is_ok());
        let outcome = a.tool(ToolCall::RemoveFiles { paths: vec!["link".into(), "kept".into(), "root".into()] }).await;
        assert!(matches!(&outcome, Outcome::Removed { removed, .. } if removed.len() == 3), "{outcome:?}");
        assert_eq!(a.shell("ls /usr | wc -l; ls -A").await.stdout.lines().count(), 1);
        assert!(a.read("/etc/passwd").await.is_ok());
        for path in ["/", "/usr", "root"] {
            drop(a.tool(ToolCall::ListFiles { path: path.into() }).await);
        }
    })
    .await;
}

/// FILE-03: a directory beside the workspace whose name begins like it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sibling_whose_name_begins_like_the_workspace_is_not_the_workspace() {
    attack(plain(), async |a| {
        a.python("os.makedirs('/tmp/workspace-other'); open('/tmp/workspace-other/f', 'w').write('x')").await;
        for path in
            ["../workspace-other/f", "/workspace-other/f", "-other/f", "/workspace/../workspace-other/f"]
        {
            assert!(a.read(path).await.is_err(), "{path}");
        }
        let Outcome::Listing { entries, .. } =
            a.tool(ToolCall::ListFiles { path: "/tmp/workspace-other".into() }).await
        else {
            panic!("no listing")
        };
        assert_eq!(
            entries.first().map(|e| e.path.as_str()),
            Some("/tmp/workspace-other/f"),
            "shown as if it were in the workspace"
        );
        let content = vec![NewFile { path: "/workspace-other/new".into(), data: Bytes::from_static(b"x") }];
        assert!(matches!(a.tool(ToolCall::WriteFiles { content }).await, Outcome::Failed { .. }));
        a.shell("rm -rf /tmp/workspace-other").await;
    })
    .await;
}

/// FILE-06: files that fill the storage through the tools: whole or not at all, a sentence, and a neighbour that notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_clients_fill_says_so_and_the_neighbours_has_room() {
    on_each_tier(small_storage(), async |session| {
        let piece = vec![7; 8 << 20];
        let mut written = 0;
        let refused = loop {
            match session.write(&[(&format!("f{written}"), &piece)]).await {
                Ok(_) => written += 1,
                Err(message) => break message,
            }
            assert!(written < 100, "the storage has no end");
        };
        assert!(written > 2 && refused.contains("disk quota"), "{written} files, then {refused}");
        assert!(session.read(&format!("f{written}")).await.is_err(), "nothing of the refused file is there");
        let two: [(&str, &[u8]); 2] = [("small", b"x"), ("large", &piece)];
        session.write(&two).await.expect_err("there is no room for both");
        assert!(session.read("small").await.is_err(), "of two files that do not fit, none is there");
        assert_eq!(session.read("f0").await.unwrap(), piece, "what was there is as it was");
        session.tool(ToolCall::RemoveFiles { paths: vec!["f0".into()] }).await;
        session.write(&[("again", &piece)]).await.expect("the room of a removed file is there again");
    })
    .await;
    attack(small_storage(), async |a| {
        let neighbour = a.rig.session().await;
        a.shell("dd if=/dev/zero of=full bs=1M 2>/dev/null").await;
        neighbour.write(&[("beside", &[7; 8 << 20])]).await.expect("the neighbour has its own room");
        neighbour.stop().await;
    })
    .await;
}

/// FILE-07: writes to one path at once, and writes while a session is being stopped.
#[tokio::test(flavor = "multi_thread")]
async fn writes_to_one_path_at_once_leave_one_of_them_whole() {
    on_each_tier(plain(), async |session| {
        for _ in 0..10 {
            let contents: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![b'a' + n; 1 << 20]).collect();
            let writes = contents.iter().map(|data| async { session.write(&[("one", data)]).await.is_ok() });
            let done = futures_util::future::join_all(writes).await;
            assert!(done.contains(&true), "{done:?}");
            let read = session.read("one").await.unwrap();
            assert!(contents.iter().any(|data| read == data), "{} bytes of several writes", read.len());
        }
        assert_eq!(session.names("").await, ["one"], "no part of a write is left");
    })
    .await;
    let Some(rig) = Rig::new(plain()) else { return };
    for _ in 0..3 {
        let session = rig.session().await;
        let interpreter = std::sync::Arc::clone(&session.interpreter);
        let content = vec![NewFile { path: "late".into(), data: Bytes::from(vec![7; 32 << 20]) }];
        let (events, mut heard) = tokio::sync::mpsc::channel(8);
        let write = tokio::spawn(async move {
            let call = ToolCall::WriteFiles { content };
            drop(interpreter.invoke(call, std::time::Duration::from_secs(60), events).await);
        });
        let (_, ()) = tokio::join!(async { while heard.recv().await.is_some() {} }, session.stop());
        write.await.unwrap();
    }
    rig.end().await;
}
