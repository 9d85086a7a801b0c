//! The contract of the Python runtime: state, values, streams, errors, and what a person expects of the rest.

use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::{Ended, StateAfter};
use cloister_core::policy::Policy;
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Ran, plain};
use cloister_tests::tiers::on_each_tier;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn ok(ran: &Ran) {
    assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Completed, 0), "{ran:?}");
    assert!(ran.execution.error.is_none() && ran.execution.limits.is_empty(), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_names_imports_directory_and_environment_persist_until_the_context_is_cleared() {
    on_each_tier(plain(), async |session| {
        let code = "import os, math\nclass P:\n    n = 7\ndef f(): return math.floor(2.5)\nx = 41\nos.mkdir('d'); os.chdir('d'); os.environ['K'] = 'v'";
        ok(&session.python(code).await);
        let look = "(x, P.n, f(), os.path.basename(os.getcwd()), os.environ['K'])";
        assert_eq!(session.python(look).await.text(), "(41, 7, 2, 'd', 'v')");

        let ran = session.python_cleared("x").await;
        assert_eq!(ran.exception().0, "NameError", "{ran:?}");
        let ran = session.python("import os; (os.getcwd(), os.environ.get('K'), os.path.isdir('d'))").await;
        assert_eq!(ran.text(), "('/workspace', None, True)", "files are no part of the context");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bare_expression_of_a_cell_is_its_value() {
    on_each_tier(plain(), async |session| {
        assert_eq!(session.python("x = 20\nx + 22").await.text(), "42");
        assert_eq!(session.python("'text'").await.text(), "'text'");
        assert_eq!(session.python("_").await.text(), "'text'");
        for nothing in ["None", "x = 3", "x;", "for i in range(3): i", "", "# only a comment"] {
            let ran = session.python(nothing).await;
            ok(&ran);
            assert!(ran.value.is_none(), "{nothing}: {ran:?}");
        }
        let ran = session.python("{'a': [1, None]}").await;
        assert_eq!(ran.text(), "{'a': [1, None]}");
        assert_eq!(ran.form("application/json").replace(' ', ""), r#"{"a":[1,null]}"#);
        let ran = session.python("import asyncio\nawait asyncio.sleep(0.01, 'waited')").await;
        assert_eq!(ran.text(), "'waited'", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_frame_is_shown_as_text_and_as_html_and_a_figure_as_a_picture() {
    in_session(Policy::built_in("test"), async |session| {
        let ran = session.python("import pandas as pd\npd.DataFrame({'x': [1, 2], 'y': ['a', 'b']})").await;
        assert!(ran.text().contains("   x  y") && ran.text().contains("1  2  b"), "{}", ran.text());
        assert!(
            ran.form("text/html").contains("<table") && ran.form("text/html").contains("<td>b</td>"),
            "{ran:?}"
        );

        let ran = session.python("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);").await;
        assert_eq!(ran.displays.len(), 1, "{ran:?}");
        let picture = ran.displays.first().and_then(|d| d.get("image/png"));
        assert!(picture.is_some_and(|png| png.starts_with(PNG) && png.len() > 1000), "{ran:?}");
        assert!(ran.value.is_none());
        assert!(session.python("1").await.displays.is_empty(), "a figure is shown once");

        let ran = session.python("fig, ax = plt.subplots(); ax.plot([3, 1]); fig").await;
        assert!(
            ran.value.as_ref().and_then(|v| v.get("image/png")).is_some_and(|png| png.starts_with(PNG)),
            "{ran:?}"
        );
        assert!(ran.displays.is_empty(), "{ran:?}");

        let ran = session.python("plt.bar(['a'], [1]); plt.savefig('output.png'); print('saved')").await;
        assert_eq!(ran.stdout, "saved\n");
        assert_eq!(ran.files().first().map(|f| (f.0, f.2)), Some(("output.png", true)), "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_streams_are_heard_at_descriptor_level_and_kept_apart() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("import sys\nprint('out')\nprint('err', file=sys.stderr)").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
        let ran = session.python("import os\nos.write(1, b'one')\nos.write(2, b'two');").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("one", "two"));
        let ran = session.python("print('no new line', end='')").await;
        assert_eq!(ran.stdout, "no new line");
        if session.is_wasm() {
            return;
        }
        let ran = session
            .python("import subprocess\nsubprocess.run(['sh', '-c', 'echo child; echo cry >&2']);")
            .await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("child\n", "cry\n"));
        // Without a new line, so that it stays in the buffer of C until somebody flushes it.
        let ran = session.python("import ctypes\nctypes.CDLL(None).printf(b'from C');").await;
        assert_eq!(ran.stdout, "from C");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_not_utf_8_arrives_byte_for_byte() {
    on_each_tier(plain(), async |session| {
        let code =
            "import os\nfor n in range(8): os.write(1, bytes(range(256)))\nos.write(2, b'\\xff\\x00');";
        let call = ToolCall::ExecuteCode {
            code: code.into(),
            language: Language::Python,
            runtime: Runtime::Python,
            clear_context: false,
        };
        let (stdout, stderr) = session.streams(call).await;
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(stdout, all.repeat(8));
        assert_eq!(stderr, b"\xff\x00");
        let ran = session.python("print('\\udcff', 'ü', '漢')").await;
        ok(&ran);
        assert!(ran.stdout.contains("ü 漢"), "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_that_breaks_its_streams_does_not_break_the_next_cell() {
    on_each_tier(plain(), async |session| {
        for breaker in [
            "import os; os.close(1)",
            "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
            "import sys; sys.stdout.close()",
            "import sys; sys.stdout = None",
            "import sys, io; sys.stdout = io.StringIO()",
            "import os; os.closerange(0, 3)",
        ] {
            session.python(breaker).await;
            let ran = session.python("print('heard')").await;
            assert_eq!(ran.stdout, "heard\n", "after {breaker}: {ran:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_terminal_ends_with_a_sentence_that_says_so() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("name = input('Your name? ')").await;
        let (name, message) = ran.exception();
        assert_eq!(name, "EOFError", "{ran:?}");
        assert!(message.contains("input()") && message.contains("no terminal"), "{message}");
        let ran = session.python("import sys; sys.stdin.read()").await;
        assert_eq!(ran.text(), "''", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sys_exit_ends_the_call_with_its_status_and_keeps_the_state() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("import sys\nx = 1\nprint('before')\nsys.exit(3)\nprint('after')").await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Exited, 3), "{ran:?}");
        assert_eq!(ran.execution.state, StateAfter::Kept);
        assert_eq!(ran.stdout, "before\n");
        let ran = session.python("sys.exit('a reason')").await;
        assert_eq!((ran.execution.exit_code, ran.stderr.as_str()), (1, "a reason\n"));
        let ran = session.python("exit()").await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Exited, 0), "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncaught_exception_shows_the_lines_of_the_guest_and_none_of_ours() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("x = 1\ndef f(d):\n    return 1 / d\ntry:\n    f(0)\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e").await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Completed, 1), "{ran:?}");
        assert_eq!(ran.execution.state, StateAfter::Kept);
        assert_eq!(ran.exception(), ("KeyError", "'k'"));
        let traceback = &ran.execution.error.as_ref().unwrap().traceback;
        for part in ["Traceback (most recent call last)", "line 3, in f", "return 1 / d", "ZeroDivisionError: division by zero", "direct cause", "KeyError: 'k'"] {
            assert!(traceback.contains(part), "{part} is missing in:\n{traceback}");
        }
        assert!(!traceback.contains("/opt/cloister") && !traceback.contains("_cloister"), "{traceback}");
        assert_eq!(session.python("x").await.text(), "1");

        let ran = session.python("class Odd(Exception):\n    def __str__(self): raise RuntimeError\nraise Odd").await;
        assert_eq!(ran.exception().0, "Odd", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_error_is_reported_before_anything_of_the_cell_has_run() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("print('ran')\nx = = 1").await;
        assert_eq!(ran.exception().0, "SyntaxError", "{ran:?}");
        assert!(ran.execution.error.as_ref().unwrap().traceback.contains("x = = 1"), "{ran:?}");
        assert_eq!((ran.stdout.as_str(), ran.execution.exit_code), ("", 1));
        let ran = session.python("'a\0b'").await;
        assert!(!ran.exception().0.is_empty(), "{ran:?}");
        assert_eq!(session.python("1 + 1").await.text(), "2");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_outlives_its_call_and_what_it_says_later_comes_with_the_next_one() {
    in_session(plain(), async |session| {
        let code = "import threading, time\ndone = threading.Event()\ndef work():\n    time.sleep(0.3)\n    print('late', flush=True)\n    done.set()\nthreading.Thread(target=work).start()\nprint('started')";
        assert_eq!(session.python(code).await.stdout, "started\n");
        tokio::time::sleep(std::time::Duration::from_millis(800)).await;
        let ran = session.python("print('next', done.is_set())").await;
        assert_eq!(ran.stdout, "late\nnext True\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn child_processes_work_outlive_their_call_and_can_be_waited_for() {
    in_session(plain(), async |session| {
        let ran = session.python("import subprocess\nsubprocess.run('exit 7', shell=True).returncode").await;
        assert_eq!(ran.text(), "7");
        let ran = session.python("child = subprocess.Popen(['sh', '-c', 'sleep 0.3; echo bye; exit 5'])\nchild.poll()").await;
        assert!(ran.value.is_none(), "{ran:?}");
        let ran = session.python("child.wait()").await;
        assert_eq!((ran.text(), ran.stdout.as_str()), ("5", "bye\n"));
        let ran = session.python("import multiprocessing as mp\ndef square(n): return n * n\nwith mp.Pool(2) as pool: r = pool.map(square, range(4))\nr").await;
        assert_eq!(ran.text(), "[0, 1, 4, 9]", "{ran:?}");
        let ran = session.python("import os\npid = os.fork()\nif pid == 0:\n    print('child')\nelse:\n    print(os.waitpid(pid, 0)[1])").await;
        assert_eq!(ran.stdout, "child\n0\n", "one call, one answer, whatever a fork does: {ran:?}");
        assert_eq!(ran.execution.ended, Ended::Completed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_are_shown_on_stderr_in_every_call_that_causes_them() {
    on_each_tier(plain(), async |session| {
        for _ in 0..2 {
            let ran = session.python("import warnings\nwarnings.warn('careful')").await;
            ok(&ran);
            assert!(ran.stderr.contains("UserWarning: careful") && ran.stdout.is_empty(), "{ran:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_is_an_error_with_the_state_kept_and_a_crash_costs_the_state_only() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("x = 1\ndef r(): return r()\nr()").await;
        assert_eq!(ran.exception().0, "RecursionError", "{ran:?}");
        assert_eq!(session.python("x").await.text(), "1");
        if session.is_wasm() {
            // There the interpreter's limit on C cannot be lifted: tests/kernel/wasm/time.rs.
            return;
        }
        // Through C, without the interpreter's own limit: the stack overflows, and the kernel ends the process.
        let ran = session.python("import sys\nsys.setrecursionlimit(10**8)\nclass R:\n    def __repr__(self): return repr(self)\nrepr(R())").await;
        assert_eq!((ran.execution.ended, ran.execution.state), (Ended::Died, StateAfter::Lost), "{ran:?}");
        assert_eq!(ran.execution.exit_code, 128 + 11);
        assert_eq!(session.python("'x' in globals()").await.text(), "False");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_are_as_large_as_a_request_may_be_and_in_any_line_ending() {
    on_each_tier(plain(), async |session| {
        let data = "x".repeat(4 << 20);
        assert_eq!(session.python(&format!("data = '{data}'\nlen(data)")).await.text(), "4194304");
        assert_eq!(session.python("if True:\r\n    y = 1\r\ny\r\n").await.text(), "1");
        assert_eq!(session.python("größe = 'ß漢😀'\nlen(größe)").await.text(), "3");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_of_cells_can_be_pickled_and_modules_of_the_workspace_imported() {
    on_each_tier(plain(), async |session| {
        let ran = session.python("import pickle\nclass C:\n    def __eq__(self, o): return type(self) is type(o)\npickle.loads(pickle.dumps(C())) == C(), __name__").await;
        assert_eq!(ran.text(), "(True, '__main__')", "{ran:?}");
        session.write(&[("mine.py", b"answer = 42\n")]).await.unwrap();
        assert_eq!(session.python("import mine; mine.answer").await.text(), "42");
    })
    .await;
}
