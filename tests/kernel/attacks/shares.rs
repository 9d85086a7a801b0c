//! RES: processor time beyond one's share, and results that are made to be expensive for whoever shows them.

use super::{attack, cell};
use cloister_core::event::{Ended, Event};
use cloister_tests::needs;
use cloister_tests::rig::{Ran, plain};
use std::time::Duration;

/// RES-05: as many spinning processes as there may be, with every priority that can be asked for, use the session's share and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_spins_has_its_share_and_its_neighbour_is_served() {
    let mut policy = plain();
    policy.resources.cpu = 0.5;
    attack(policy, async |a| {
        if !a.has_group() {
            return needs::skip_unless_root(
                "processor time is a group's, and this host has none for sandboxes",
            );
        }
        let ranks = "
import errno, os
def tried(what):
    try:
        what()
        return 'done'
    except OSError as error:
        return errno.errorcode[error.errno]
print(json.dumps({
    'nice': tried(lambda: os.nice(-20)),
    'priority': tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)),
    'first in first out': tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
    'round robin': tried(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(99))),
}))";
        a.verdicts(ranks).await.refused("", &["EPERM", "EACCES"]);
        let neighbour = a.rig.session().await;
        let spin = "
for _ in range(7):
    if os.fork() == 0: break
while True: pass";
        let call = a.python_within(spin, Duration::from_secs(4));
        let beside = async {
            for _ in 0..5 {
                assert_eq!(neighbour.python("6 * 7").await.text(), "42");
            }
        };
        let (ran, ()) = tokio::join!(call, beside);
        let (cpu, wall) = (ran.execution.usage.cpu.unwrap(), ran.execution.usage.wall);
        // A period of the group may be under way at either end.
        let most = wall.mul_f64(0.5) + Duration::from_millis(300);
        assert!(cpu <= most, "{cpu:?} of processor time in {wall:?}");
        assert!(cpu >= Duration::from_millis(200), "it has spun: {cpu:?}");
        neighbour.stop().await;
    })
    .await;
}

/// Bytes of everything that a call shows.
fn shown(ran: &Ran) -> usize {
    ran.displays.iter().chain(&ran.value).flat_map(|rich| &rich.forms).map(|(_, data)| data.len()).sum()
}

/// Memory of this process, which is the server here, in MiB.
fn own_memory() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap();
    (pages * 4096) >> 20
}

/// A PNG whose head declares a hundred thousand pixels each way, a GIF and an SVG of that kind, and what else a viewer might open.
const PICTURES: &str = "
import struct, zlib
def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
png = b'\\x89PNG\\r\\n\\x1a\\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 100000, 100000, 8, 6, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(bytes(1 << 20))) + chunk(b'IEND', b'')
gif = b'GIF89a' + struct.pack('<HH', 65535, 65535) + b'\\xf7\\0\\0' + bytes(768) + b';'
entities = '<!ENTITY a0 \"' + 'b' * 100 + '\">' + ''.join(f'<!ENTITY a{n} \"' + f'&a{n - 1};' * 10 + '\">' for n in range(1, 9))
svg = '<!DOCTYPE s [' + entities + ']><svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"http://169.254.169.254/\"/><text>&a8;</text></svg>'
class P:
    def _repr_png_(self): return png
class G:
    def _repr_mimebundle_(self, **k): return {'image/gif': gif, 'text/plain': 'x'}
class S:
    def _repr_svg_(self): return svg
";

/// RES-08, FILE-10: pictures that declare what they do not have, texts that loop or nest: bytes with a limit, which nobody decodes.
#[tokio::test(flavor = "multi_thread")]
async fn results_that_lie_about_their_size_pass_as_bytes_or_not_at_all() {
    let mut policy = plain();
    policy.output.display = 1 << 20;
    policy.time.grace = Duration::from_millis(300);
    attack(policy, async |a| {
        a.session.python(PICTURES).await;
        let before = own_memory();
        let png = a.session.python("P()").await;
        let data = png.value.as_ref().and_then(|value| value.get("image/png")).expect("the picture is there");
        assert_eq!(&data[..8], b"\x89PNG\r\n\x1a\n", "as the guest made it");
        assert_eq!(&data[16..24], [0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0], "with the size that it declares");
        for liar in [
            "G()",
            "S()",
            "class A:\n    def __repr__(self): return 'r' * 10 ** 8\nA()",
            "class A:\n    def _repr_html_(self): return '<b>' * 10 ** 7\nA()",
            "class A:\n    def _repr_mimebundle_(self, **k): return {f'x/{n}': 'y' * 1000 for n in range(10 ** 5)}\nA()",
            "class A:\n    def _repr_json_(self):\n        d = {}\n        for _ in range(10 ** 5): d = {'d': d}\n        return d\nA()",
            "10 ** 100_000",
            "class A:\n    def _repr_mimebundle_(self, **k): return {'application/x-python-pickle': b'cos\\nsystem\\n(S\\'x\\'\\ntR.', '../../x': 'y'}\nA()",
        ] {
            let ran = a.session.python_within(liar, Duration::from_secs(20)).await;
            assert!(shown(&ran) <= 4 << 20, "{liar}: {} bytes", shown(&ran));
            assert_eq!(a.session.python("6 * 7").await.text(), "42", "after {liar}");
        }
        let endless = "class A:\n    def __repr__(self):\n        while True: pass\nA()";
        let ran = a.session.python_within(endless, Duration::from_secs(2)).await;
        assert!(matches!(ran.execution.ended, Ended::Interrupted | Ended::Killed), "{ran:?}");
        let grown = own_memory().saturating_sub(before);
        assert!(grown < 200, "the server has grown by {grown} MiB");
        for (name, code) in [("png", "png"), ("gif", "gif"), ("svg", "svg.encode()")] {
            a.session.python(&format!("{PICTURES}\nopen('a.{name}', 'wb').write({code})")).await;
            let made = std::collections::BTreeSet::from_iter(a.session.names("").await);
            a.read(&format!("a.{name}")).await.unwrap();
            let after = std::collections::BTreeSet::from_iter(a.session.names("").await);
            assert_eq!(made, after, "no preview of a.{name} is made");
        }
    })
    .await;
}

/// RES-08: a result of a hundred thousand displays is cut at its number.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_displays_is_cut_at_its_number() {
    attack(plain(), async |a| {
        let flood =
            "class A:\n    def _repr_html_(self): return '<b>x</b>'\nfor _ in range(10 ** 5): display(A())";
        let events = a.session.events(cell(flood), Duration::from_secs(60)).await;
        let displays = events.iter().filter(|event| matches!(event, Event::Display(_))).count();
        let most = usize::try_from(a.rig.policy.output.displays).unwrap();
        assert!(displays > 0 && displays <= most, "{displays} displays, {most} are allowed");
        assert_eq!(a.session.python("6 * 7").await.text(), "42");
    })
    .await;
}
