//! Hostile Python: it may do to its own interpreter whatever it likes, and nothing to its neighbour, its engine or the host.

use super::{PLENTY, SHORT, restore, wasm};
use cloister_core::command::ToolCall;
use cloister_core::event::{LimitHit, Outcome, StateAfter};
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Ran, Rig, Session};

/// Runs `body` beside a neighbour who must notice nothing, in the one engine that there is.
async fn beside_a_neighbour(body: impl AsyncFnOnce(&Session)) {
    let Some(rig) = Rig::new(wasm()) else { return };
    let (session, neighbour) = (rig.session().await, rig.session().await);
    neighbour.python("y = [7]; open('f', 'w').write('mine')").await;
    body(&session).await;
    let ran = neighbour.python("import os\n(y, open('f').read(), os.listdir('.'))").await;
    assert_eq!(ran.text(), "([7], 'mine', ['f'])", "{ran:?}");
    assert_eq!(rig.wasm.as_ref().unwrap().engines(), 1);
    session.stop().await;
    let next = rig.session().await;
    assert_eq!(next.python("import json; json.dumps([6 * 7])").await.text(), "'[42]'");
    next.stop().await;
    neighbour.stop().await;
    rig.end().await;
}

/// Whatever became of the cell, the session can be used.
async fn works(session: &Session, after: &str) {
    let ran = session.python_cleared("print(6 * 7)").await;
    assert_eq!(ran.stdout, "42\n", "after {after}: {ran:?}");
}

/// PY-01: everything that breaks out of language-level sandboxes.
#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_the_language_reach_the_sessions_own_interpreter_and_no_further() {
    beside_a_neighbour(async |session| {
        for trick in [
            "[c for c in ().__class__.__base__.__subclasses__()]",
            "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict):\n        try: o.clear()\n        except BaseException: pass",
            "import sys\nf = sys._getframe()\nwhile f.f_back: f = f.f_back\nf.f_globals.clear()",
            "import sys\nfor m in list(sys.modules.values()):\n    if m: vars(m).clear()",
            "import sys; sys.modules.clear()",
            "def f(): pass\nf.__code__ = f.__code__.replace(co_code=bytes(n % 256 for n in range(1000)), co_stacksize=1)\nf()",
            "def f(): pass\nf.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 10, co_consts=(), co_stacksize=0)\nf()",
            "import ctypes; ctypes.string_at(0)",
            "import ctypes; ctypes.CDLL(None)",
            "import _posixsubprocess; _posixsubprocess.fork_exec",
            "import os; os.execv('/bin/sh', ['sh'])",
            "import os; os.kill(1, 9)",
            "import builtins; builtins.__dict__.clear()",
            "import marshal; exec(marshal.loads(bytes(range(256))))",
            "import sys; sys.settrace(lambda *a: 1 / 0); sys.setprofile(lambda *a: 1 / 0)\nx = [1]",
            "import _cloister; [setattr(m, n, None) for m in (_cloister,) for n in dir(m)]",
            "import os; os._exit(0)",
            "import os; os.abort()",
            "raise SystemExit(BaseException())",
            "class M(type):\n    def __del__(c): raise RuntimeError\nclass A(metaclass=M): pass\ndel A",
            "import faulthandler; faulthandler._sigsegv()",
        ] {
            let ran = session.python_within(trick, PLENTY).await;
            assert!(!ran.stdout.contains("root:"), "{trick}: {ran:?}");
            works_or_undo(session, trick).await;
        }
    })
    .await;
}

/// A guest that has spoilt its own interpreter keeps it: the state before the call brings a working one back.
async fn works_or_undo(session: &Session, after: &str) {
    let ran = session.python_cleared("print(6 * 7)").await;
    if ran.stdout != "42\n" {
        // Two calls back is more than is kept; what the first undo brings back is the spoilt one.
        let _: Result<String, String> = restore(session, Some("checkpoint-1")).await;
        works(session, after).await;
    }
}

/// WAS-01: the host's functions called by hand, with whatever comes to mind.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_functions_called_by_hand_say_no_and_do_no_harm() {
    beside_a_neighbour(async |session| {
        session.python("x = 1").await;
        const CALLS: &str = r#"
import _cloister_host as h
names = [n for n in dir(h) if not n.startswith('_')]
print(names)
values = [None, -1, 0, 1, 2, 3, 2 ** 31, 2 ** 32, 2 ** 64, 1.5, 'x', b'x', b'\xff' * 70_000, '{}', b'{"ev": "done"}', b'{"ev": "value"}', b'[' * 10_000, [], {}, object()]
tried = 0
for name in names:
    f = getattr(h, name)
    if not callable(f): continue
    for a in [()] + [(v,) for v in values] + [(v, w) for v in values for w in values]:
        try: f(*a)
        except BaseException as e: assert not isinstance(e, SystemExit)
        tried += 1
print('tried', tried > 800)
"#;
        let ran = session.python(CALLS).await;
        assert!(ran.execution.state == StateAfter::Kept || ran.execution.state == StateAfter::Restored, "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
        for forged in [
            r#"{"ev":"done","id":"another","status":"ok","exit_code":0}"#,
            r#"{"ev":"error","id":"x","name":"E","message":"m"}"#,
            r#"{"ev":"shutdown"}"#,
            "not json",
        ] {
            let code = format!("import _cloister_host as h\ntry: h.event({forged:?}, b'')\nexcept BaseException as e: print(type(e).__name__)\n6 * 7");
            session.python(&code).await;
            assert_eq!(session.python("x").await.text(), "1", "after {forged}");
        }
    })
    .await;
}

/// WAS-02: floods of host calls, and arguments without measure.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_host_calls_and_absurd_arguments_end_with_their_call() {
    beside_a_neighbour(async |session| {
        session.python("import os, time, select, random\nx = 1").await;
        for flood in [
            "while True: os.urandom(16)",
            "while True: os.stat('.')",
            "while True: open('f').close() if os.path.exists('f') else open('f', 'w').close()",
            "while True: time.time_ns()",
            "while True: os.listdir('/lib/python')",
        ] {
            let ran = session.python_within(flood, SHORT).await;
            assert_eq!(ran.limits(), ["deadline"], "{flood}: {ran:?}");
            assert_eq!(session.python("x").await.text(), "1", "after {flood}");
        }
        for absurd in [
            "os.urandom(2 ** 31 - 1)",
            "os.read(os.open('.', os.O_RDONLY), 2 ** 31 - 1)",
            "os.pread(os.open('f', os.O_RDWR | os.O_CREAT), 100, 2 ** 62)",
            "os.lseek(os.open('f', os.O_RDWR), -1, 0)",
            "os.ftruncate(os.open('f', os.O_RDWR), 2 ** 62)",
            "os.pwrite(os.open('f', os.O_RDWR), b'x', 2 ** 62)",
            "os.writev(1, [b'x'] * 2000)",
            "select.select([0] * 10 ** 6, [], [], 0)",
            "p = select.poll()\nfor n in range(10 ** 5): p.register(n)\np.poll(0)",
            "os.close(3); os.close(4); os.close(5)",
            "os.dup2(1, 2 ** 30)",
            "time.sleep(2 ** 40)",
            "os.utime('.', (2 ** 60, -2 ** 60))",
            "os.mkdir('d' * 10 ** 6)",
            "os.symlink('x' * 10 ** 6, 'l')",
            "open('a/' * 10 ** 5 + 'b')",
        ] {
            let ran = session.python_within(absurd, SHORT).await;
            assert!(
                matches!(ran.execution.state, StateAfter::Kept | StateAfter::Restored),
                "{absurd}: {ran:?}"
            );
            assert_eq!(session.python("x").await.text(), "1", "after {absurd}");
        }
    })
    .await;
}

/// WAS-04: ways out of the view, by path and by link, with the error that each one gets.
#[tokio::test(flavor = "multi_thread")]
async fn no_path_or_link_leads_out_of_the_sessions_files_or_changes_the_images() {
    in_session(wasm(), async |session| {
        const TRY: &str = r#"
import os
def attempt(f):
    try: f(); return 'done'
    except OSError as e: return type(e).__name__
os.makedirs('d/e', exist_ok=True); open('own', 'w').close()
os.symlink('/lib/python/os.py', 'to_image'); os.symlink('../../../../../../etc/passwd', 'up'); os.symlink('/etc', 'etc')
os.symlink('loop', 'loop'); os.symlink('/workspace/d', 'in')
reads = ['/etc/passwd', '../../../etc/passwd', 'up', 'etc/passwd', 'd/../../etc/passwd', '/proc/self/environ', '/engine', '/python.cwasm',
         '/lib.pack', '//etc/passwd', '/./../etc/passwd', 'loop', '/lib/../etc/passwd', 'own/', 'own/.', '/dev/mem', '/sys']
writes = ['/lib/python/os.py', 'to_image', '/lib/python/new', '/lib/new', '/new', '/lib/driver/new', '/etc/new', '/lib/site/x.py']
print(sorted({attempt(lambda p=p: open(p).read()) for p in reads}))
print(sorted({attempt(lambda p=p: open(p, m).close()) for p in writes for m in ('w', 'a', 'r+', 'x')}))
moves = [lambda: os.rename('/lib/python/os.py', 'os.py'), lambda: os.rename('own', '/lib/python/os.py'), lambda: os.link('/lib/python/os.py', 'hard'),
         lambda: os.link('own', '/lib/python/hard'), lambda: os.unlink('/lib/python/os.py'), lambda: os.rmdir('/lib/python'), lambda: os.mkdir('/lib/x'),
         lambda: os.symlink('own', '/lib/x'), lambda: os.truncate('/lib/python/os.py', 0), lambda: os.utime('/lib/python/os.py', (0, 0)),
         lambda: os.rename('d', 'd/e/f'), lambda: os.rename('/workspace', '/elsewhere'), lambda: os.rmdir('/tmp'), lambda: os.open('/lib/python/os.py', os.O_RDONLY | os.O_TRUNC)]
print(sorted({attempt(m) for m in moves}))
print(open('to_image').read(6), os.listdir('in'), len(open('/lib/python/os.py').read()) > 30000)
"#;
        let ran = session.python(TRY).await;
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines.len(), 4, "{ran:?}");
        for line in &lines[..3] {
            assert!(!line.contains("'done'"), "{ran:?}");
        }
        assert_eq!(lines[3], "r\"\"\"OS ['e'] True", "{ran:?}");
        // The same by the file tools.
        for path in ["up", "etc/passwd", "../../etc/passwd", "/etc/passwd", "/engine", "loop", "/proc/self/environ"] {
            assert!(session.read(path).await.is_err(), "{path}");
        }
        for path in ["/lib/python/os.py", "/lib/new", "/etc/new", "etc/new", "../new", "/engine"] {
            assert!(session.write(&[(path, b"x")]).await.is_err(), "{path}");
        }
        let paths = ["/lib/python/os.py", "/lib", "..", "/"].map(str::to_owned).to_vec();
        let outcome = session.tool(ToolCall::RemoveFiles { paths }).await;
        assert!(matches!(&outcome, Outcome::Removed { removed, .. } if removed.is_empty()), "{outcome:?}");
        assert_eq!(session.python("import os; len(open('/lib/python/os.py').read()) > 30000").await.text(), "True");
    })
    .await;
}

/// WAS-06: no thread, no memory that is shared.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_threads_and_no_shared_memory() {
    in_session(wasm(), async |session| {
        for code in [
            "import _thread; _thread.start_new_thread(print, ())",
            "import mmap; mmap.mmap(-1, 4096)",
            "from multiprocessing import shared_memory; shared_memory.SharedMemory(create=True, size=64)",
        ] {
            let ran = session.python(code).await;
            assert!(ran.execution.error.is_some(), "{code}: {ran:?}");
        }
    })
    .await;
}

/// WAS-09, RES-06: a gigabyte, one line, no line, bytes that are no text, and what terminals obey.
#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_is_cut_and_counted_and_escapes_are_only_bytes() {
    let mut policy = wasm();
    policy.output.stream = 10_000;
    in_session(policy, async |session| {
        let ran = session.python("import os\nline = 'x' * (1 << 20)\nfor _ in range(200): print(line)").await;
        let hit = |stream, dropped| LimitHit::Output { stream, limit: 10_000, dropped };
        assert_eq!(
            (ran.stdout.len(), &ran.execution.limits[..]),
            (10_000, &[hit("stdout", 200 * ((1 << 20) + 1) - 10_000)][..])
        );
        let ran = session.python("import sys\nsys.stderr.write('y' * (64 << 20)); sys.stderr.flush()").await;
        assert_eq!((ran.stderr.len(), ran.limits()), (10_000, vec!["output"]));
        let ran = session.python("print('\\x1b[2J\\x1b]0;title\\x07\\x9b31m\\0 \\u202e end')").await;
        assert!(
            ran.stdout.starts_with("\u{1b}[2J")
                && ran.stdout.contains('\0')
                && ran.stdout.ends_with(" end\n"),
            "{ran:?}"
        );
        let ran =
            session.python_within("import os\nwhile True: os.write(1, b'\\0' * 65536)", SHORT * 5).await;
        assert_eq!(ran.stdout.len(), 10_000, "{:?}", ran.execution);
        assert!(ran.limits().contains(&"output"), "{:?}", ran.execution);
        assert_eq!(session.python("'works'").await.text(), "'works'");
    })
    .await;
}

/// CTL-01, CTL-04: a guest says frames, replies and orders on every descriptor that it can name: they are output, or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn output_that_looks_like_the_engines_protocol_is_output() {
    in_session(wasm(), async |session| {
        session.python("x = 1").await;
        let lies = "import os, json, struct
def frame(value, blob=b''):
    text = json.dumps(value).encode()
    return struct.pack('<II', len(text), len(blob)) + text + blob
lies = [frame({'ev': 'done', 'id': n, 'exit': 9}) for n in range(4)] + [frame({'op': 'stop'}), frame({'ev': 'ready'}), struct.pack('<II', 2 ** 32 - 1, 2 ** 32 - 1), b'\\0' * 64]
data = b''.join(lies)
for fd in (1, 2): os.write(fd, data)
said = []
for fd in [0, *range(3, 300)]:
    try: said.append((fd, os.write(fd, data)))
    except OSError: pass
print(f'\\n{len(data)} {said}')";
        let ran = session.python(lies).await;
        assert_eq!((ran.execution.exit_code, ran.displays.len()), (0, 0), "{ran:?}");
        let last = ran.stdout.lines().last().unwrap_or_default();
        let (length, others) = last.split_once(' ').unwrap_or_default();
        assert_eq!(others, "[]", "no other descriptor takes anything");
        assert!(ran.stderr.len() >= length.parse::<usize>().unwrap() / 2, "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1", "the next call has its own answer");
    })
    .await;
}

/// PY-02: modules in the workspace with the names of those that the driver uses.
#[tokio::test(flavor = "multi_thread")]
async fn modules_planted_in_the_workspace_run_in_no_code_of_ours() {
    beside_a_neighbour(async |session| {
        let evil: &[u8] = b"print('PLANTED')\nraise SystemExit('PLANTED')\n";
        let names = [
            "ast.py",
            "traceback.py",
            "linecache.py",
            "json.py",
            "asyncio.py",
            "sitecustomize.py",
            "usercustomize.py",
            "_cloister.py",
            "_cloister_host.py",
            "types.py",
            "encodings/__init__.py",
            "warnings.py",
            "random.py",
        ];
        let files: Vec<(&str, &[u8])> = names.iter().map(|&name| (name, evil)).collect();
        session.write(&files).await.unwrap();
        for code in [
            "1 / 0",
            "x = [1]\nx",
            "import warnings; warnings.warn('w')",
            "await __import__('asyncio').sleep(0)",
            "display(1)",
            "= =",
        ] {
            let ran = session.python(code).await;
            assert!(!format!("{ran:?}").contains("PLANTED"), "{code}: {ran:?}");
            let ran = session.python_cleared(code).await;
            assert!(!format!("{ran:?}").contains("PLANTED"), "{code}, cleared: {ran:?}");
        }
    })
    .await;
}

/// PY-03: objects that lie about what they are. Nothing of them is run or unpacked outside.
#[tokio::test(flavor = "multi_thread")]
async fn results_are_bytes_with_a_limit_whatever_the_objects_say() {
    let mut policy = wasm();
    policy.output.display = 100_000;
    in_session(policy, async |session| {
        let size = |ran: &Ran| ran.value.iter().flat_map(|v| v.forms.iter()).map(|(_, data)| data.len()).sum::<usize>();
        session.python("x = 1").await;
        for liar in [
            "class A:\n    def __repr__(self): return 'r' * 10 ** 7\nA()",
            "class A:\n    def __repr__(self): return 7\nA()",
            "class A:\n    def __repr__(self): raise SystemExit(9)\nA()",
            "class A:\n    def _repr_html_(self): return '<b>' * 10 ** 6\nA()",
            "class A:\n    def _repr_mimebundle_(self, **k): return {'application/x-python-pickle': b'cos\\nsystem\\n', '../../x': 'y', 7: 8}\nA()",
            "class A:\n    def _repr_png_(self): return b'not a picture'\nA()",
            "class A:\n    def __getattr__(self, name): return self\n    def __call__(self, *a, **k): return self\nA()",
            "class A(dict):\n    def items(self): return iter(int, 1)\nA(a=1)",
            "class S(str):\n    def encode(self, *a): return b'\\xff' * 10 ** 7\nS('s')",
            "a = []; a.append(a); a",
            "float('nan')",
            "{1: {2: {3: b'\\xff'}}}",
        ] {
            let ran = session.python_within(liar, SHORT * 5).await;
            assert!(size(&ran) <= 100_000, "{liar}: {} bytes", size(&ran));
            assert_eq!(session.python("x").await.text(), "1", "after {liar}");
        }
    })
    .await;
}

/// PY-04: what errors tell, the guest's own and the engine's.
#[tokio::test(flavor = "multi_thread")]
async fn no_error_names_a_path_of_the_host_or_of_the_driver() {
    in_session(wasm(), async |session| {
        let host: Vec<String> = [std::env::current_dir().ok(), std::env::current_exe().ok(), cloister_tests::needs::images()]
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            // The borrowed user's tests run in the root directory, whose name is part of every path.
            .filter(|path| path != "/")
            .collect();
        for failing in [
            "1 / 0",
            "import json; json.loads('{')",
            "open('/nothing')",
            "import nothing",
            "def f(): f()\nf()",
            "= =",
            "raise Exception('m' * 10 ** 7)",
            "import asyncio\nasync def f(): 1 / 0\nawait asyncio.gather(f(), f())",
            "import os; os.abort()",
            "sum(range(10 ** 12))",
            "import subprocess; subprocess.run(['x'])",
            "class A:\n    def __repr__(self): 1 / 0\nA()",
        ] {
            let ran = session.python_within(failing, SHORT * 2).await;
            let said = format!("{ran:?}");
            for path in host.iter().map(String::as_str).chain(["/lib/driver", "_cloister", "/root/", "/home/", "wasm-function", ".rs:"]) {
                // The guest's own home is its to know.
                let said = said.replace("/home/agent", "");
                assert!(!said.contains(path), "{failing} tells {path}: {}", &said[..said.len().min(4000)]);
            }
            assert!(said.len() < 3 << 20, "{failing}: {} bytes", said.len());
        }
        // The driver's own streams and the environment.
        let ran = session.python("import os, sys\nprint(dict(os.environ), sys.argv, sys.executable, sys.prefix, sys.flags.no_user_site)").await;
        for path in &host {
            assert!(!ran.stdout.contains(path.as_str()), "{ran:?}");
        }
    })
    .await;
}
