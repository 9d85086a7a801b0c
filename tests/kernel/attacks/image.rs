//! FS: an image that is itself hostile.

use super::Canary;
use cloister_core::command::ToolCall;
use cloister_core::policy::Policy;
use cloister_tests::rig::plain;

/// FS-07: an image whose mount points are links to places of the host.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_links_for_mount_points_starts_nothing_that_sees_the_host() {
    for hostile in ["dev", "proc", "run", "tmp", "workspace", "home/agent", "etc/hostname", "etc/machine-id"]
    {
        let images = tempfile::tempdir().unwrap();
        let canary = Canary::plant(images.path());
        let root = images.path().join("hostile/current/root");
        for place in ["dev", "proc", "run", "tmp", "workspace", "home/agent", "etc"] {
            std::fs::create_dir_all(root.join(place)).unwrap();
        }
        for place in ["etc/hostname", "etc/machine-id"] {
            std::fs::write(root.join(place), "").unwrap();
        }
        let target = if hostile.starts_with("etc/") {
            canary.file()
        } else {
            canary.file().parent().unwrap().to_owned()
        };
        let place = root.join(hostile);
        if hostile.starts_with("etc/") {
            std::fs::remove_file(&place).unwrap();
        } else {
            std::fs::remove_dir(&place).unwrap();
        }
        std::os::unix::fs::symlink(&target, &place).unwrap();
        let text = "name = \"hostile\"\ndescription = \"\"\ndigest = \"\"\n[runners]\n[env]\n[shell]\nargv = [\"/bin/sh\"]\n";
        std::fs::write(images.path().join("hostile/current/image.toml"), text).unwrap();
        let policy = Policy { image: "hostile".into(), ..plain() };
        let Some(rig) = cloister_tests::rig::Rig::configured(policy, |config| {
            config.images_dir = images.path().to_owned();
        }) else {
            return;
        };
        let mut heard = String::new();
        match rig.try_session(std::time::Duration::from_secs(60)).await {
            // A step is named, so that the operator finds the link.
            Err(error) => heard.push_str(&error.to_string()),
            Ok(session) => {
                for place in ["/dev", "/run", "/tmp", "/workspace", "/home/agent", "/etc", "/"] {
                    heard.push_str(&format!(
                        "{:?}",
                        session.tool(ToolCall::ListFiles { path: place.into() }).await
                    ));
                    heard.push_str(&format!("{:?}", session.read(&format!("{place}/flag")).await));
                    drop(session.write(&[(&format!("{place}/planted"), b"x")]).await);
                }
                heard.push_str(&format!("{:?}", session.read("/etc/hostname").await));
                session.stop().await;
            }
        }
        rig.end().await;
        canary.check(&heard);
        let there: Vec<_> =
            std::fs::read_dir(target.parent().unwrap_or(&target)).unwrap().flatten().collect();
        assert!(
            there.iter().all(|e| e.file_name() != "planted"),
            "{hostile}: a file was planted on the host"
        );
        assert_eq!(
            std::fs::read_dir(canary.file().parent().unwrap()).unwrap().count(),
            1,
            "{hostile}: the host's directory has changed"
        );
    }
}
