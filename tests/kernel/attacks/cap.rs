//! CAP: what is read out of a session, and written into it, while the guest changes it.

use super::attack;
use bytes::Bytes;
use cloister_core::command::{NewFile, ToolCall};
use cloister_core::event::Outcome;
use cloister_tests::rig::{Rig, plain};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

fn list(path: &str) -> ToolCall {
    ToolCall::ListFiles { path: path.into() }
}

/// CAP-01: results that are links to what the guest cannot read itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_a_link_gives_nothing_that_the_guest_could_not_read() {
    attack(plain(), async |a| {
        let canary = a.canary.file().display().to_string();
        let state = a.rig.directory.path().join("flag").display().to_string();
        let targets = [
            canary.as_str(),
            &state,
            "/proc/self/environ",
            "/proc/1/environ",
            "/proc/self/maps",
            "/proc/self/exe",
            "/proc/self/mem",
            "../../../../../../flag",
            "/proc/self/fd/4",
            "/proc/self/task/1/environ",
            "/proc/thread-self/cmdline",
        ];
        for (n, target) in targets.iter().enumerate() {
            let ran = a.python(&format!("os.symlink({target:?}, 'out{n}.png')")).await;
            assert_eq!(ran.files(), [], "a link is reported as a changed file");
            let read = a.read(&format!("out{n}.png")).await;
            assert!(read.is_err(), "{target}: {read:?}");
        }
        // The image's files are everybody's: a link to one is followed, inside.
        a.python("os.symlink('/etc/passwd', 'passwd')").await;
        let host = std::fs::read("/etc/passwd").unwrap();
        assert!(
            a.read("passwd").await.is_ok_and(|inside| inside != host && inside.starts_with(b"root:x:0:0"))
        );
        let Outcome::Listing { entries, .. } = a.tool(list(".")).await else { panic!("no listing") };
        assert!(
            entries.iter().all(|e| e.kind == cloister_core::event::EntryKind::Symlink && e.size == 0),
            "{entries:?}"
        );
    })
    .await;
}

/// CAP-02: files and directories that are swapped for links while the tools work on them.
#[tokio::test(flavor = "multi_thread")]
async fn swapping_files_for_links_in_a_tight_loop_leads_no_tool_out() {
    attack(plain(), async |a| {
        a.python(include_str!("../guests/swap.py")).await;
        let before =
            std::fs::symlink_metadata("/etc/shadow").map(|m| (m.ino(), m.ctime(), m.ctime_nsec())).ok();
        let (since, mut seen, mut rounds) = (Instant::now(), 0, 0);
        while since.elapsed() < Duration::from_secs(4) {
            for path in ["target", "dir/inner"] {
                match a.session.read(path).await {
                    Ok(data) if &data[..] == b"inside" => seen += 1,
                    // Empty, or the image's own: what a guest can read by itself.
                    Ok(data) => {
                        assert!(data.is_empty() || data.starts_with(b"root:"), "{path} gave {data:?}");
                    }
                    Err(_) => {}
                }
                let range = ToolCall::ReadRange { path: path.into(), offset: 0, length: 100 };
                if let Outcome::Range { data, .. } = a.session.tool(range).await {
                    assert!(
                        data.is_empty() || &data[..] == b"inside" || data.starts_with(b"root:"),
                        "{path} gave {data:?}"
                    );
                }
                drop(a.session.write(&[(path, b"inside")]).await);
                drop(a.session.tool(list("dir")).await);
                drop(a.session.tool(ToolCall::RemoveFiles { paths: vec![path.into()] }).await);
            }
            rounds += 1;
        }
        a.session.write(&[("stop", b"")]).await.unwrap();
        let swaps: u64 = a
            .shell(
                "sleep 0.5; cat /tmp/swaps* | tr -s '\\n' ' '; for f in /tmp/swaps*; do echo; cat $f; done",
            )
            .await
            .stdout
            .lines()
            .skip(1)
            .filter_map(|n| n.trim().parse::<u64>().ok())
            .sum();
        assert!(
            rounds > 3 && swaps > 1000 && seen > 0,
            "no race: {rounds} rounds, {swaps} swaps, {seen} reads"
        );
        assert_eq!(
            std::fs::symlink_metadata("/etc/shadow").map(|m| (m.ino(), m.ctime(), m.ctime_nsec())).ok(),
            before
        );
        a.shell("rm -rf /workspace/* /workspace/.[a-z]* /tmp/*").await;
    })
    .await;
}

/// CAP-03: one inode under two names.
#[tokio::test(flavor = "multi_thread")]
async fn hard_links_are_read_by_content_and_removed_by_name() {
    attack(plain(), async |a| {
        a.python("open('one', 'w').write('same'); os.link('one', 'two'); os.link('one', 'three')").await;
        for path in ["one", "two", "three"] {
            assert_eq!(a.read(path).await.as_deref(), Ok(b"same".as_slice()));
        }
        // A write makes a new file: other names keep what they had.
        a.session.write(&[("one", b"new")]).await.unwrap();
        assert_eq!(a.read("two").await.as_deref(), Ok(b"same".as_slice()));
        drop(a.tool(ToolCall::RemoveFiles { paths: vec!["one".into()] }).await);
        assert_eq!(a.read("three").await.as_deref(), Ok(b"same".as_slice()));
    })
    .await;
}

/// CAP-04: FIFOs, sockets, devices and files of procfs under names that invite reading.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_blocks_no_tool() {
    attack(plain(), async |a| {
        let make = "import socket\nos.mkfifo('report.pdf'); socket.socket(socket.AF_UNIX).bind('chart.png')\nfor n, t in enumerate(['/dev/zero', '/dev/urandom', '/proc/kmsg', '/proc/self/status', '/dev/full', '/proc/sys/kernel/hostname']): os.symlink(t, f'file{n}.csv')";
        a.python(make).await;
        let since = Instant::now();
        for path in ["report.pdf", "chart.png", "file0.csv", "file1.csv", "file2.csv", "file3.csv", "file4.csv", "file5.csv", "/dev/zero", "/dev/stdin"] {
            assert!(a.read(path).await.is_err(), "{path} was read");
            let range = ToolCall::ReadRange { path: path.into(), offset: 1 << 40, length: u64::MAX };
            assert!(matches!(a.tool(range).await, Outcome::Failed { .. }), "{path} was read");
        }
        assert!(since.elapsed() < Duration::from_secs(30), "a tool was blocked");
        // A reader that waits in the FIFO gets nothing from a write: the name is replaced.
        a.session.write(&[("report.pdf", b"pdf")]).await.unwrap();
        assert_eq!(a.read("report.pdf").await.as_deref(), Ok(b"pdf".as_slice()));
    })
    .await;
}

/// CAP-05: a file that grows, shrinks and changes while it is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_while_it_is_read_gives_a_bounded_answer() {
    attack(plain(), async |a| {
        let change = "import mmap, threading\nf = open('moving', 'w+b'); f.truncate(1 << 20); m = mmap.mmap(f.fileno(), 1 << 20)\npid = os.fork()\nif pid == 0:\n    n = 0\n    while not os.path.exists('stop'):\n        n += 1; f.truncate((n % 7 + 1) << 20); m[0] = n % 256\n    os._exit(0)";
        a.python(change).await;
        for _ in 0..30 {
            let data = a.session.read("moving").await.unwrap();
            assert!(data.len() <= 7 << 20, "{} bytes", data.len());
        }
        a.session.write(&[("stop", b"")]).await.unwrap();
    })
    .await;
}

/// CAP-06: writes whose target, or whose directory, is a link out of the workspace.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_a_link_changes_neither_the_image_nor_the_host() {
    attack(plain(), async |a| {
        let canary = a.canary.file().display().to_string();
        let links = format!("for n, t in enumerate(['/etc/passwd', {canary:?}, '/proc/self/oom_score_adj', '/dev/null', '/usr/bin/python3']): os.symlink(t, f'link{{n}}')\nos.symlink('/etc', 'etc'); os.symlink('/proc/self', 'self'); os.symlink('/dev', 'dev'); os.symlink('/', 'root')");
        a.python(&links).await;
        for n in 0..5 {
            // The link itself is replaced.
            a.session.write(&[(&format!("link{n}"), b"mine")]).await.unwrap();
        }
        for path in ["etc/passwd", "etc/new", "self/comm", "self/environ", "dev/null", "dev/new", "root/new", "root/usr/bin/python3", "etc/a/b/c"] {
            assert!(a.session.write(&[(path, b"mine")]).await.is_err(), "{path} was written");
        }
        assert!(a.shell("head -1 /etc/passwd; ls /etc/new /dev/new /new 2>&1; stat -c %t:%T /dev/null").await.stdout.starts_with("root:x:0:0"));
        // One bad path, and nothing of the request is written.
        assert!(a.session.write(&[("good", b"x"), ("etc/passwd", b"x")]).await.is_err());
        assert!(a.read("good").await.is_err());
        drop(a.tool(ToolCall::RemoveFiles { paths: vec!["etc/passwd".into(), "root/usr".into(), "/etc/passwd".into()] }).await);
        assert!(a.read("/etc/passwd").await.is_ok());
    })
    .await;
}

/// CAP-07: a state directory that another local user has prepared, and directories of sandboxes that others may enter.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_others_can_change_is_refused() {
    let Some(rig) = Rig::new(plain()) else { return };
    let session = rig.session().await;
    let directory = rig.directory.path().join("sandboxes").join(session.interpreter.sandbox().as_str());
    let meta = std::fs::metadata(&directory).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid()), (0o700, nix::unistd::geteuid().as_raw()));
    assert_eq!(std::fs::metadata(directory.join("record.json")).unwrap().mode() & 0o777, 0o600);
    session.stop().await;
    rig.end().await;

    if !nix::unistd::geteuid().is_root() {
        return cloister_tests::needs::skip_unless_root("only root can prepare a directory of another user");
    }
    let prepared = tempfile::tempdir().unwrap();
    for (name, owner, mode) in
        [("foreign", Some(12345), 0o700), ("open", None, 0o777), ("group", None, 0o770)]
    {
        let path = prepared.path().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&path, owner, owner).unwrap();
        let refused = std::panic::catch_unwind(|| {
            Rig::configured(plain(), |config| config.state_dir.clone_from(&path)).map(drop)
        });
        assert!(refused.is_err(), "{name}: a state directory of mode {mode:o} was taken");
    }
}

/// CAP-08: the tools as a way to find out what is on the host.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_the_host_and_one_that_is_nowhere_give_the_same_answer() {
    attack(plain(), async |a| {
        let there = a.canary.file().display().to_string();
        let nowhere = there.replace("flag", "gone").replace("canary", "nowhere");
        let told = |path: &str, text: String| text.replace(path, "PATH");
        let (one, other) = (a.read(&there).await.unwrap_err(), a.read(&nowhere).await.unwrap_err());
        assert_eq!(told(&there, one), told(&nowhere, other));
        let (one, other) = (a.tool(list(&there)).await, a.tool(list(&nowhere)).await);
        assert_eq!(told(&there, format!("{one:?}")), told(&nowhere, format!("{other:?}")));
        let ran = a.python(&format!("for p in ({there:?}, {nowhere:?}):\n    try: os.stat(p)\n    except OSError as e: print(e.errno)")).await;
        assert_eq!(ran.stdout, "2\n2\n");
    })
    .await;
}

/// CAP-09: names that break headers, terminals, paths and parsers.
#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_listed_without_control_characters_and_without_loss() {
    attack(plain(), async |a| {
        let make = r#"
names = [b"new\nline", b'qu"ote', b"\xe2\x80\xaertl.png", b"\xff\xfe.bin", b"n" * 255, b"-rf", b"CON", b"esc\x1b[2J", b"a%0Ab", b"cr\r\nSet-Cookie: x", b"tab\t", b"\x7f",
         b" space ", b"semi;colon", b"back\\slash", b"%2e%2e%2f", b"...", b"\xc0\xaf", b"null'", b"*", b"?", b"$(id)", b"`id`", b"<script>"]
for name in names:
    open(name, "wb").write(b"x")
print(len(names))
"#;
        let ran = a.python(make).await;
        let Outcome::Listing { entries, .. } = a.tool(list(".")).await else { panic!("no listing") };
        assert_eq!(entries.len().to_string(), ran.stdout.trim(), "a name was lost");
        let mut names: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        names.dedup();
        assert_eq!(names.len(), entries.len(), "two names became one");
        for name in names.iter().chain(&ran.files().iter().map(|(path, ..)| *path).collect::<Vec<_>>()) {
            assert!(!name.chars().any(char::is_control), "{name:?}");
            assert!(!name.contains('/'), "{name:?}");
        }
        a.shell("find . -mindepth 1 -delete").await;
    })
    .await;
}

/// CAP-10: more files, and more bytes, than an answer can carry: the server's memory stays what it is.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_files_and_too_many_bytes_are_cut_with_a_reason_and_cost_the_server_nothing() {
    attack(plain(), async |a| {
        let ran = a.python("for n in range(3000): open(f'f{n}', 'w').close()\nwith open('large', 'wb') as f: f.truncate(100 << 20)").await;
        let limit = a.rig.policy.output.files_max as usize;
        assert!(ran.execution.files_truncated && ran.execution.files.len() == limit, "{} files", ran.execution.files.len());
        // A hundred times 100 MiB by one small request; sparse, so that it costs the session nothing.
        let outcome = a.session.tool(ToolCall::ReadFiles { paths: vec!["large".into(); 100] }).await;
        let Outcome::Files { files, failed } = outcome else { panic!("no files") };
        assert_eq!((files.len(), failed.len()), (1, 99));
        assert!(failed.iter().all(|f| f.reason.contains("fewer files")), "{failed:?}");
        assert!(a.read("large").await.is_ok(), "one large file can be read");
        a.shell("truncate -s 300M larger").await;
        assert!(a.read("larger").await.unwrap_err().contains("ranges"));
        let range = ToolCall::ReadRange { path: "larger".into(), offset: 299 << 20, length: u64::MAX };
        assert!(matches!(a.session.tool(range).await, Outcome::Range { data, .. } if data.len() == 1 << 20));
        let beyond = ToolCall::ReadRange { path: "larger".into(), offset: u64::MAX, length: u64::MAX };
        assert!(matches!(a.session.tool(beyond).await, Outcome::Range { data, .. } if data.is_empty()));
    })
    .await;
}

/// CAP-06: a guest that waits for the temporary names of a write, and takes them.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_write_uses_on_the_way_cannot_be_taken_to_lead_it_astray() {
    attack(plain(), async |a| {
        let take = "for n in range(8):\n    for end in ('part', 'old'):\n        for pid in range(1, 4): os.symlink('/etc/passwd', f'.cloister-{pid}-{n}.{end}')";
        a.python(take).await;
        let content = (0..8).map(|n| NewFile { path: format!("file{n}"), data: Bytes::from_static(b"x") }).collect();
        drop(a.tool(ToolCall::WriteFiles { content }).await);
        assert!(a.read("/etc/passwd").await.is_ok_and(|text| text.starts_with(b"root:x")));
        a.shell("find . -mindepth 1 -delete").await;
        a.session.write(&[("file", b"x")]).await.unwrap();
    })
    .await;
}
