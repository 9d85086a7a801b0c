//! FS: out of the file system, or into what others read.

use super::{Attack, Verdicts, attack, warm};
use cloister_core::command::ToolCall;
use cloister_core::event::{Ended, Outcome};
use cloister_core::policy::Wall;
use cloister_tests::rig::plain;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const GUEST: &str = include_str!("../guests/fs.py");
/// A path that is not there, in this root.
const ABSENT: &[&str] = &["ENOENT", "ENOTDIR"];
/// A file system that cannot be written to, as the mount, Landlock or the owner says it.
const FIXED: &[&str] = &["EROFS", "EACCES", "EPERM", "ETXTBSY", "EBUSY", "EXDEV", "ENOENT", "EINVAL"];
const EPERM: &[&str] = &["EPERM"];

/// One function of the guest.
async fn guest(attack: &Attack, function: &str) -> Verdicts {
    attack.verdicts(&format!("{GUEST}\n{function}()\nverdicts()")).await
}

/// Identity and age of files of the host.
fn state_of(files: &[&str], root: &Path) -> Vec<(u64, u64, i64, i64, u32)> {
    let of = |name: &&str| {
        let meta = std::fs::symlink_metadata(root.join(name.trim_start_matches('/'))).unwrap();
        (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec(), meta.mode())
    };
    files.iter().map(of).collect()
}

fn image_root() -> std::path::PathBuf {
    let images = cloister_tests::needs::images().unwrap();
    images.join("analysis/current/root").canonicalize().unwrap()
}

/// FS-01: files of the host, of the server and of other sessions, by absolute paths, by dots and through /proc.
#[tokio::test(flavor = "multi_thread")]
async fn paths_of_the_host_do_not_exist_inside() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let own = a.rig.directory.path().display().to_string();
            let session = format!("{own}/sandboxes/{}/record.json", a.session.interpreter.sandbox());
            assert!(Path::new(&session).exists(), "the test looks for the wrong file");
            let image = image_root().display().to_string();
            let canary = a.canary.file().display().to_string();
            let flag = format!("{own}/flag");
            let host = [&own, &session, &flag, &image, &canary].map(String::as_str);
            let others = [
                "/root/.ssh",
                "/root/.cache",
                "/var/run/docker.sock",
                "/run/containerd",
                "/run/systemd",
                "/sys/kernel",
                "/boot/vmlinuz",
                "/etc/cloister",
                "/var/lib/cloister",
                "/proc/1/root/etc/shadow",
            ];
            let host: Vec<&str> = host.into_iter().chain(others).collect();
            let v = a.verdicts(&format!("HOST = {host:?}\n{GUEST}\nlook()\nverdicts()")).await;
            v.refused("", ABSENT);
            for path in &host {
                assert!(a.read(path).await.is_err(), "readFiles finds {path}");
                assert!(
                    a.read(&format!("/workspace/{}{path}", "../".repeat(40))).await.is_err(),
                    "readFiles finds {path} by dots"
                );
            }
        })
        .await;
    }
}

/// FS-02: break-outs by a second root, and by a descriptor of a directory that was left open.
#[tokio::test(flavor = "multi_thread")]
async fn the_root_cannot_be_changed_and_no_directory_is_held_open() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "change_root").await;
            assert_eq!(v.get("directories held"), "");
            for name in ["chroot", "pivot_root", "unshare"] {
                v.refused(name, EPERM);
            }
        })
        .await;
    }
}

/// FS-03: changes to the image, by every call that changes something, and files in every directory of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_image_cannot_be_changed_and_nothing_outside_of_the_storage_is_writable() {
    let files = [
        "/usr/bin/python3.11",
        "/usr/lib/python3.11/os.py",
        "/etc/passwd",
        "/etc/hostname",
        "/opt/cloister/python/driver.py",
        "/usr/bin/dash",
    ];
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let before = state_of(&files, &image_root());
            guest(a, "change_image").await.refused("", FIXED);
            let v = guest(a, "writable").await;
            let writable: Vec<String> = serde_json::from_str(v.get("writable")).unwrap();
            assert_eq!(writable, [""; 0], "writable outside of the storage");
            assert_eq!(state_of(&files, &image_root()), before, "the image has changed");
        })
        .await;
    }
}

/// FS-04: links of /proc that lead to roots, directories and descriptors of processes.
#[tokio::test(flavor = "multi_thread")]
async fn links_of_proc_lead_to_nothing_above_the_root() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "walk_proc").await;
            v.refused("init", &["ENOENT"]);
            v.refused("map_files", &["EPERM", "EACCES", "ENOENT"]);
            for (name, value) in &v.0 {
                match name.split(' ').next() {
                    Some("same") => assert_eq!(value, "True", "{name}"),
                    Some("cwd") => assert_eq!(value, "/workspace", "{name}"),
                    Some("root") => assert_eq!(value, "/", "{name}"),
                    Some("fd") => {
                        let harmless =
                            ["/dev/null", "/dev/urandom", "pipe:", "socket:", "anon_inode:", "/proc/"];
                        assert!(harmless.iter().any(|start| value.starts_with(start)), "{name} is {value}");
                    }
                    _ => {}
                }
            }
        })
        .await;
    }
}

/// FS-05: the program of init is a file of the host (CVE-2019-5736); with and without Landlock, whose wall it would be otherwise.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn programs_cannot_be_overwritten_through_proc_and_inits_cannot_be_read() {
    let jail = cloister_tests::needs::built("cloister-jail").unwrap();
    let state = || std::fs::metadata(&jail).map(|m| (m.ino(), m.len(), m.ctime(), m.ctime_nsec())).unwrap();
    let before = state();
    let mut bare = plain();
    bare.isolation.require.retain(|wall| *wall != Wall::Landlock);
    for policy in [plain(), warm(), bare] {
        attack(policy, async |a| {
            let v = guest(a, "programs").await;
            v.refused("open own program", &["EACCES", "EROFS", "ETXTBSY", "EPERM"]);
            v.refused("truncate own program", &["EACCES", "EROFS", "ETXTBSY", "EPERM"]);
            v.refused("open init's program", &["ENOENT"]);
            // Init itself runs the file tools, so to it these paths are its own.
            for path in [
                "/proc/self/exe",
                "/proc/1/exe",
                "/proc/thread-self/exe",
                "exe",
                "/proc/self/fd/3",
                "/dev/stdin",
            ] {
                assert!(a.read(path).await.is_err(), "init reads {path} for the guest");
                let range = ToolCall::ReadRange { path: path.into(), offset: 0, length: 64 };
                assert!(
                    matches!(a.tool(range).await, Outcome::Failed { .. }),
                    "init reads a range of {path}"
                );
            }
            for path in ["/proc/self/exe", "/proc/self/mem", "/proc/self/comm", "/proc/1/oom_score_adj"] {
                assert!(a.session.write(&[(path, b"x")]).await.is_err(), "init writes {path} for the guest");
            }
            for path in ["/proc/self/fd", "/proc/1/map_files", "/proc/self/task"] {
                let listed = a.tool(ToolCall::ListFiles { path: path.into() }).await;
                assert!(
                    matches!(listed, Outcome::Failed { .. }),
                    "init lists {path} for the guest: {listed:?}"
                );
            }
            a.shell("./again; true").await;
        })
        .await;
    }
    assert_eq!(state(), before, "the jail program has changed");
}

/// FS-06: a working directory behind a descriptor (CVE-2024-21626).
#[tokio::test(flavor = "multi_thread")]
async fn every_program_starts_in_the_workspace() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let look = "for fd in /proc/self/fd/*; do cd $fd 2>/dev/null && pwd -P; cd /workspace; done; pwd -P; readlink /proc/self/cwd";
            assert_eq!(a.shell(look).await.stdout, "/workspace\n/workspace\n");
            let task = a.session.start_task("pwd -P").await;
            assert_eq!(&a.session.ended_task(&task.id).await.stdout[..], b"/workspace\n");
            let ran = a.python("import os; print(os.getcwd(), os.readlink('/proc/self/cwd'))").await;
            assert_eq!(ran.stdout, "/workspace /workspace\n");
        })
        .await;
    }
}

/// FS-08: the device files, which other systems bound by path after the guest could replace them.
#[tokio::test(flavor = "multi_thread")]
async fn device_files_cannot_be_replaced_hidden_or_touched() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            let v = guest(a, "devices").await;
            for name in ["unlink", "rename", "chmod", "touch", "create", "over"] {
                v.refused(name, FIXED);
            }
            assert_eq!(v.get("nodes"), "full=1:7 null=1:3 random=1:8 urandom=1:9 zero=1:5");
        })
        .await;
    }
}

/// FS-09: files of /proc and /sys that act on the host when they are written.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_act_on_the_kernel_cannot_be_written() {
    let watched = ["core_pattern", "modprobe", "hostname", "pid_max", "randomize_va_space"]
        .map(|name| format!("/proc/sys/kernel/{name}"));
    let values =
        || watched.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect::<Vec<_>>();
    let before = values();
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            // EINVAL: the labels of a security module that is not there are refused by reason of their content.
            guest(a, "kernel_files")
                .await
                .refused("write", &["EROFS", "EACCES", "ENOENT", "EPERM", "EIO", "EINVAL", "EISDIR"]);
        })
        .await;
    }
    assert_eq!(values(), before, "a setting of the kernel has changed");
}

/// FS-10: mounts of every kind, by the old calls and the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_mounted_or_unmounted() {
    attack(plain(), async |a| guest(a, "mounts").await.refused("", EPERM)).await;
}

/// FS-11: files by inode number, past every path (the "shocker").
#[tokio::test(flavor = "multi_thread")]
async fn files_cannot_be_opened_by_number() {
    attack(plain(), async |a| guest(a, "handles").await.refused("", EPERM)).await;
}

/// FS-12: paths that several parties might read in several ways.
#[tokio::test(flavor = "multi_thread")]
async fn odd_spellings_of_paths_mean_one_thing_and_lead_nowhere_else() {
    attack(plain(), async |a| {
        a.session.write(&[("a/b.txt", b"inside")]).await.unwrap();
        for same in [
            "a/b.txt",
            "./a/b.txt",
            "a//b.txt",
            "a/./b.txt",
            "a/../a/b.txt",
            "/workspace/a/b.txt",
            "//workspace//a/b.txt",
            "file://a/b.txt",
        ] {
            assert_eq!(a.read(same).await.as_deref(), Ok(b"inside".as_slice()), "{same}");
        }
        let long = "x/".repeat(2048);
        let canary = a.canary.file().display().to_string();
        let encoded = canary.replace('/', "%2f");
        let wide = canary.replace('/', "\u{2215}");
        let nul = format!("a/b.txt\0{canary}");
        let name = "n".repeat(256);
        for other in [
            "A/B.TXT",
            "a\\b.txt",
            "a/b.txt/",
            "a/b.txt/.",
            "%2e%2e/flag",
            "..%2fflag",
            "\u{ff0e}\u{ff0e}/flag",
            "a/b.txt\u{200b}",
            "a/b\u{0301}.txt",
            "~/flag",
            "$HOME",
            "\\\\?\\flag",
            "",
            "\0",
            &long,
            &encoded,
            &wide,
            &nul,
            &name,
            &canary,
            "http://127.0.0.1/",
            "file:///etc/shadow\0",
            "....//flag",
        ] {
            let read = a.read(other).await;
            assert!(read.is_err(), "{other:?} was read: {read:?}");
            assert!(read.unwrap_err().len() < 6000, "the reason repeats an endless path");
        }
    })
    .await;
}

/// FS-13: a hard link to a file that belongs to somebody else, to be given away later.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_image_cannot_be_linked_into_the_workspace() {
    attack(plain(), async |a| guest(a, "links").await.refused("", FIXED)).await;
}

/// FS-14: files that programs read without being asked, planted for the next runtime, the next session and the host.
#[tokio::test(flavor = "multi_thread")]
async fn planted_start_up_files_run_in_no_runtime_of_ours_and_not_in_the_next_session() {
    for policy in [plain(), warm()] {
        attack(policy, async |a| {
            a.python(include_str!("../guests/planted.py")).await;
            // New runtimes: they start beside the planted files.
            assert_eq!(a.session.python("import os; os._exit(3)").await.execution.ended, Ended::Died);
            a.shell("kill -9 $$").await;
            let ran = a.session.python("import nothing_of_this_name").await;
            assert_eq!(ran.exception().0, "ModuleNotFoundError", "{ran:?}");
            // A cell that does import a planted module gets it, and the driver goes on with the real one.
            let ran = a.session.python("import sys, ctypes; print(ctypes.__file__)").await;
            assert!(ran.stdout.starts_with("/workspace/ctypes.py"), "{ran:?}");
            assert_eq!(a.session.python("{'a': [1]}").await.text(), "{'a': [1]}");
            a.shell("grep -v ^/workspace/ctypes.py /tmp/marks > /tmp/other; mv /tmp/other /tmp/marks").await;
            a.shell("true").await;
            // Not /tmp/pth: `pip install --user` relies on path files, and the runtime that obeys them is the session's own.
            let marks = a.shell("cat /tmp/marks 2>/dev/null").await.stdout;
            assert_eq!(marks, "", "planted files ran");
            let next = a.rig.session().await;
            let ran = next.shell("find /workspace /home/agent /tmp /dev/shm -mindepth 1").await;
            assert_eq!(ran.stdout, "", "a new session is not empty");
            next.stop().await;
        })
        .await;
    }
}

/// FS-15: device nodes, made or found.
#[tokio::test(flavor = "multi_thread")]
async fn no_device_can_be_made_and_none_of_the_hosts_is_there() {
    attack(plain(), async |a| {
        let v = guest(a, "devices").await;
        v.refused("mknod", EPERM);
        v.refused("open", ABSENT);
    })
    .await;
}

/// FS-16: programs that would run as somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn set_user_id_programs_neither_exist_nor_work() {
    attack(plain(), async |a| {
        let found = a.shell("find / -xdev \\( -perm -4000 -o -perm -2000 \\) -type f 2>/dev/null").await.stdout;
        assert_eq!(found, "", "the image has set-user-id programs");
        let capable = "import os\nprint([p for d, _, names in os.walk('/usr') for n in names if not os.path.islink(p := d + '/' + n) and os.access(p, os.X_OK) and 'security.capability' in os.listxattr(p)])";
        assert_eq!(a.python(capable).await.stdout, "[]\n", "the image has programs with capabilities");
        let ran = a.shell("cp /usr/bin/id mine && chmod 6755 mine && ./mine -u; ./mine -G; grep -c . /proc/self/status >/dev/null; su root -c id; true").await;
        assert!(ran.stdout.starts_with("65532\n65532\n"), "{ran:?}");
        assert!(!ran.stdout.contains("uid=0"), "{ran:?}");
    })
    .await;
}

/// FS-17: what stops programs that walk over directories: sparse files, FIFOs, many names, loops, depth, closed directories.
#[tokio::test(flavor = "multi_thread")]
async fn odd_files_slow_no_tool_down_and_can_be_removed() {
    attack(plain(), async |a| {
        let ran = a.python(&format!("{GUEST}\nodd_files()\nverdicts()")).await;
        Verdicts::of(&ran).refused("8 EiB", &["EFBIG", "EINVAL"]);
        assert!(ran.execution.files_truncated, "{ran:?}");
        assert!(ran.execution.files.len() <= a.rig.policy.output.files_max as usize);
        for (path, word) in [
            ("fifo", "regular"),
            ("socket", ""),
            ("loop1", ""),
            ("environ", ""),
            ("closed/inner/x", ""),
            ("sparse", "carries"),
        ] {
            let error = a.read(path).await.unwrap_err();
            assert!(error.contains(word), "{path}: {error}");
        }
        let Outcome::Listing { entries, truncated } = a.tool(ToolCall::ListFiles { path: ".".into() }).await
        else {
            panic!("no listing")
        };
        assert!(truncated && entries.len() == 10_000, "{} entries", entries.len());
        a.shell("chmod 700 closed; rm -rf * && ls -A | wc -l").await;
        assert_eq!(a.session.names(".").await, [""; 0]);
    })
    .await;
}

/// FS-18: attributes that would make a file hard to remove.
#[tokio::test(flavor = "multi_thread")]
async fn no_attribute_can_be_set_that_outlives_its_session() {
    attack(plain(), async |a| {
        let v = guest(a, "attributes").await;
        for name in ["setflags", "fssetxattr", "ficlone"] {
            v.refused(name, EPERM);
        }
        v.refused("security", &["EPERM", "EOPNOTSUPP"]);
        v.refused("trusted", &["EPERM", "EOPNOTSUPP"]);
    })
    .await;
}

/// FS-19: files without a name still count, and end with their holder.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_counts_against_the_quota_until_its_holder_ends() {
    attack(plain(), async |a| {
        let hold = "import os\nheld = open('big', 'wb'); os.unlink('big')\nfor _ in range(300): held.write(bytes(1 << 20))\nheld.flush()\nprint(os.statvfs('.').f_bavail * 4096 >> 20)";
        let left: u64 = a.python(hold).await.stdout.trim().parse().unwrap();
        assert!((600..=724).contains(&left), "{left} MiB left of 1024 with 300 MiB held");
        a.python("import os; os._exit(0)").await;
        let free: u64 = a.python("import os; print(os.statvfs('.').f_bavail * 4096 >> 20)").await.stdout.trim().parse().unwrap();
        assert!(free > 1000, "{free} MiB left after the holder has ended");
        a.python(hold).await;
    })
    .await;
}

/// FS-20: watches are on inodes, and the image's are the same for all sessions.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_tells_what_other_sessions_open() {
    attack(plain(), async |a| {
        let v = guest(a, "watches").await;
        v.refused("inotify", &["ENOSYS"]);
        v.refused("fanotify", EPERM);
        v.refused("dnotify", EPERM);
        v.refused("lease", EPERM);
    })
    .await;
}
