//! System call lists: what a list of one's own changes, what exploits need first, and that honest programs do not notice the list.

use super::{Attack, PRELUDE, Verdicts, attack, works};
use cloister_jail::seccomp;
use cloister_tests::needs;
use cloister_tests::rig::{Rig, plain};
use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

const LIST: &str = include_str!("../../../policies/seccomp/default.json");
const SYS: &str = include_str!("../guests/sys.py");
const EXPLOITS: &str = include_str!("../guests/exploits.py");

/// The shipped list with one more rule.
fn with(call: &str) -> Value {
    let mut list: Value = serde_json::from_str(LIST).unwrap();
    list["rules"].as_array_mut().unwrap().push(json!({"calls": [call], "action": "allow", "why": "a test"}));
    list
}

/// Attempts of `guest`, in a session under the shipped list and one more call.
async fn under(call: &str, guest: &str) -> Option<Verdicts> {
    let filters = seccomp::compile(&with(call).to_string()).unwrap();
    let policy = plain();
    let name = policy.isolation.seccomp.clone();
    let rig = Rig::configured(policy, |config| drop(config.filters.insert(name, filters)))?;
    let session = rig.session().await;
    let verdicts = Verdicts::of(&session.python(&format!("{PRELUDE}\n{SYS}\n{guest}\nverdicts()")).await);
    assert!(works(&session).await);
    session.stop().await;
    rig.end().await;
    Some(verdicts)
}

/// SYS-21: a policy whose list allows one call more, or one that no list may allow.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_ones_own_opens_what_it_names_and_nothing_that_is_never_allowed() {
    let numa = "attempt('get_mempolicy', lambda: raw(239, 0, 0, 0, 0, 0))";
    let all = format!("{numa}\nkeys()\npowers()\nfilters()\noptions()");
    // `mbind` is its neighbour, of the same purpose.
    attack(plain(), async |a: &Attack| {
        a.verdicts(&format!("{SYS}\n{all}\nverdicts()")).await.refused("get_mempolicy", &["EPERM"]);
    })
    .await;
    let Some(mut opened) = under("get_mempolicy", &all).await else { return };
    let outcome = opened.0.remove("get_mempolicy").unwrap();
    // A kernel without NUMA has no such call.
    assert!(outcome.starts_with("done") || outcome == "ENOSYS", "{outcome}");
    opened.0.remove("layers");
    opened.refused("", &["EPERM", "ENOENT"]);

    let mut list: Value = serde_json::from_str(LIST).unwrap();
    let never = list["never"].take();
    let calls: Vec<&str> = never
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|n| n["calls"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect();
    assert!(calls.len() > 60);
    for call in calls {
        // Neither beside the shipped prohibition, nor in a list that says nothing of it, nor instead of a refusal, nor under a condition.
        let mut silent = with(call);
        silent["never"] = json!([]);
        let mut instead = with(call);
        instead["rules"]
            .as_array_mut()
            .unwrap()
            .retain(|rule| rule["action"] == "allow" || rule["calls"] != json!([call]));
        let mut conditional = with(call);
        conditional["rules"].as_array_mut().unwrap().last_mut().unwrap()["when"] =
            json!([{"arg": 0, "op": "eq", "value": "1"}]);
        for list in [with(call), silent, instead, conditional] {
            let refused = seccomp::compile(&list.to_string()).expect_err(call);
            // A call that the list refuses with an errno of its own contradicts itself first.
            assert!(
                matches!(&refused, seccomp::Error::Never(name) if name == call)
                    || matches!(&refused, seccomp::Error::Contradiction(name) if name == call),
                "{call}: {refused}"
            );
        }
    }
}

/// New lines of the kernel's log, where this user may read it.
struct KernelLog(Option<std::fs::File>);

impl KernelLog {
    fn open() -> Self {
        use std::io::Seek;
        let opened =
            std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open("/dev/kmsg");
        let at_end = opened.and_then(|mut log| log.seek(std::io::SeekFrom::End(0)).map(|_| log));
        if let Err(error) = &at_end {
            needs::note(&format!(
                "the kernel's log cannot be read here ({error}), so nobody looks for its complaints"
            ));
        }
        Self(at_end.ok())
    }

    fn new_lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut record = [0; 8192];
        // One record per read; EAGAIN is the end, EPIPE a record that was overwritten.
        while let Some(read) = self.0.as_mut().map(|log| log.read(&mut record)) {
            match read {
                Ok(length) => lines.push(String::from_utf8_lossy(&record[..length]).into_owned()),
                Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => {}
                Err(_) => break,
            }
        }
        lines
    }
}

/// SYS-09: the first step of each kernel exploit that the LTP has a test for.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_of_known_kernel_exploits_is_refused_and_the_kernel_does_not_complain() {
    let mut log = KernelLog::open();
    attack(plain(), async |a: &Attack| {
        let v = a.verdicts(&format!("{EXPLOITS}\ntake()\nverdicts()")).await;
        assert!(v.0.len() > 40, "{v:?}");
        v.refused("CVE-", &["EPERM", "EACCES", "ENOENT", "ENOSYS", "EROFS"]);
        // EINVAL: a kernel without a security module that has such labels.
        v.refused("label of", &["EPERM", "EACCES", "ENOENT", "EINVAL"]);
    })
    .await;
    let complaints: Vec<String> =
        log.new_lines().into_iter().filter(|line| line.contains("BUG:") || line.contains("Oops")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// Tests of CPython that make many different calls. Without the slow ones: three runs are to take a minute or two.
const SUITE: &str = "test_posix test_os test_select test_epoll test_mmap test_fcntl test_tempfile test_shutil test_pathlib \
                     test_resource test_thread test_threadsignals test_fork1 test_pipes test_glob test_posixpath test_sys \
                     test_memoryview test_random test_stat test_uuid";
/// Runs of it.
const RUNS: usize = 3;

/// SYS-20: CPython's own tests, where a list that is too short shows as a failure now and then.
#[tokio::test(flavor = "multi_thread")]
async fn tests_of_cpython_pass_and_fail_alike_in_every_run_and_no_call_kills() {
    let Some(archive) = cpython_tests() else { return };
    attack(plain(), async |a: &Attack| {
        a.session.write(&[("tests.tar.gz", &archive)]).await.unwrap();
        // The image has the package with what the tests have in common; Debian splits it so.
        let unpacked = a.shell("mkdir lib && cp -r /usr/lib/python3.11/test lib && chmod -R u+w lib && tar -xzf tests.tar.gz -C lib && rm tests.tar.gz && ls lib").await;
        assert_eq!(unpacked.stdout, "test\n", "{unpacked:?}");
        let mut first: Option<Vec<String>> = None;
        for run in 0..RUNS {
            let command = format!("PYTHONPATH=$PWD/lib python3 -m test -u none --timeout 120 --junit-xml out.xml {SUITE} > out.txt 2>&1; tail -c 3000 out.txt; grep -c -e SIGSYS -e 'Bad system call' out.txt");
            let ran = a.hear(a.session.shell_within(&command, std::time::Duration::from_secs(400)).await);
            assert_eq!(ran.stdout.lines().last(), Some("0"), "a call was answered with a kill: {ran:?}");
            let passed = a.shell("python3 -c 'import xml.etree.ElementTree as e\nfor c in e.parse(\"out.xml\").iter(\"testcase\"):\n    if len(c) == 0: print(c.get(\"name\"))'").await;
            let mut passed: Vec<String> = passed.stdout.lines().map(str::to_owned).collect();
            passed.sort();
            assert!(passed.len() > 800, "run {run}: only {} passed: {}", passed.len(), ran.stdout);
            let before = first.get_or_insert_with(|| passed.clone());
            let differ: Vec<_> = before.iter().filter(|t| !passed.contains(t)).chain(passed.iter().filter(|t| !before.contains(t))).collect();
            assert!(differ.is_empty(), "run {run} differs from the first: {differ:?}");
        }
    })
    .await;
}

/// The tests as `scripts/cpython-tests.sh` has put them into the cache, packed.
fn cpython_tests() -> Option<Vec<u8>> {
    let images = needs::images()?;
    let place = images.parent().unwrap().join("cpython-tests");
    if !place.join("test/test_os.py").exists() {
        needs::skip("CPython's tests are not in the cache (scripts/cpython-tests.sh)");
        return None;
    }
    let packed =
        std::process::Command::new("tar").arg("-C").arg(place).args(["-cz", "test"]).output().unwrap();
    assert!(packed.status.success(), "{packed:?}");
    Some(packed.stdout)
}
