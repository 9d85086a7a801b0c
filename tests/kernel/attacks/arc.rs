//! ARC: archives that are built to be unpacked by somebody who does not look. The server never unpacks one; a guest may, inside.

use super::{attack, small_storage};
use cloister_core::command::ToolCall;
use cloister_core::event::Outcome;
use cloister_tests::rig::{Session, plain};
use cloister_tests::tiers::on_each_tier;

const GUEST: &str = include_str!("../guests/arc.py");

/// Runs the guest's program and returns the last line that it printed.
async fn guest(session: &Session, code: &str) -> String {
    let ran = session.python(&format!("{GUEST}\n{code}")).await;
    ran.stdout.lines().last().unwrap_or_else(|| panic!("{ran:?}")).to_owned()
}

/// ARC-01, ARC-04, ARC-05: archives go in and come out as they are, whatever their entries are called, and nothing appears beside them.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_one_file_to_every_tool_and_is_unpacked_by_nobody() {
    on_each_tier(plain(), async |session| {
        let names = guest(session, "print(' '.join(make_all()))").await;
        let names: Vec<&str> = names.split(' ').collect();
        assert!(names.len() >= 8, "{names:?}");
        let mut whole = Vec::new();
        for name in &names {
            whole.push(((*name).to_owned(), session.read(name).await.unwrap()));
        }
        guest(session, "clear(); print()").await;
        // As a client sends them.
        for (name, data) in &whole {
            session.write(&[(name.as_str(), data)]).await.unwrap();
            assert_eq!(&session.read(name).await.unwrap(), data, "{name} comes back as it went in");
        }
        let mut listed = session.names("").await;
        let mut sent: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        listed.sort();
        sent.sort();
        assert_eq!(listed, sent, "nothing but the archives themselves");
    })
    .await;
}

/// ARC-01, ARC-02: unpacked inside by tools that follow every entry, they reach what the guest itself reaches; tools and removal cope.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_archive_makes_inside_reaches_nothing_outside_and_can_be_removed() {
    attack(plain(), async |a| {
        let made = guest(&a.session, "print(' '.join(make_all()))").await;
        for name in made.split(' ') {
            let unpack = if name.ends_with(".zip") {
                format!("python3 -I -m zipfile -e {name} out-{name}")
            } else {
                // -P: names as they are, absolute and climbing ones too; -p: modes as they are, setuid too.
                format!("mkdir -p out-{name}; timeout 20 tar -xPpf {name} -C out-{name}")
            };
            a.shell(&unpack).await;
        }
        let modes = a.shell("find / -xdev -perm /6000 2>/dev/null; find . -type b -o -type c").await;
        assert_eq!(modes.stdout, "", "no setuid file and no device was made");
        assert_eq!(
            a.shell("cat /etc/passwd | grep -c planted").await.stdout,
            "0\n",
            "the image is as it was"
        );
        for entry in a.session.names("").await {
            // A link to a file of the image may be read: it is the guest's to read. What the host has is not there.
            let _ = a.read(&entry).await;
            let below = a.tool(ToolCall::ListFiles { path: entry }).await;
            assert!(matches!(below, Outcome::Listing { .. } | Outcome::Failed { .. }), "{below:?}");
        }
        let entries = a.session.names("").await;
        let removed = a.tool(ToolCall::RemoveFiles { paths: entries }).await;
        assert!(matches!(&removed, Outcome::Removed { failed, .. } if failed.is_empty()), "{removed:?}");
    })
    .await;
}

/// ARC-03: what grows without end ends at the quota or the deadline, and the room is there again afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_ends_at_the_sessions_limits_and_its_remains_can_be_removed() {
    on_each_tier(small_storage(), async |session| {
        let ended = guest(session, "print(bomb())").await;
        assert!(["ENOSPC", "EFBIG", "EDQUOT"].contains(&ended.as_str()), "the bomb ended with {ended}");
        assert_eq!(guest(session, "clear(); print('empty')").await, "empty");
        session.write(&[("after", &[7; 1 << 20])]).await.unwrap();
        assert_eq!(session.read("after").await.unwrap().len(), 1 << 20, "the room is there again");
    })
    .await;
}
