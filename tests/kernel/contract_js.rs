//! The contract of JavaScript and TypeScript, on Node and on Deno: the same promises for all four.

use cloister_core::command::Language::{self, JavaScript, TypeScript};
use cloister_core::command::Runtime::{self, Deno, Nodejs};
use cloister_core::event::{Ended, StateAfter};
use cloister_tests::calls::in_session;
use cloister_tests::rig::{Ran, Session, plain};

const ALL: [(Language, Runtime); 4] =
    [(JavaScript, Nodejs), (TypeScript, Nodejs), (JavaScript, Deno), (TypeScript, Deno)];

/// A session's code calls in one language and runtime.
struct In<'a>(&'a Session, Language, Runtime);

impl In<'_> {
    async fn run(&self, code: &str) -> Ran {
        self.0.code(self.1, self.2, code).await
    }

    async fn value(&self, code: &str) -> String {
        let ran = self.run(code).await;
        assert!(ran.execution.error.is_none(), "{:?} on {:?}: {code}: {ran:?}", self.1, self.2);
        ran.text().to_owned()
    }
}

/// Runs `test` once for each language and runtime, each in a session of its own.
async fn on_each(test: impl AsyncFn(In<'_>)) {
    for (language, runtime) in ALL {
        in_session(plain(), async |session| test(In(session, language, runtime)).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_names_of_every_kind_persist_until_the_context_is_cleared() {
    on_each(async |js| {
        js.run("let a = 1; const b = 2; var c = 3; function f() { return a + b + c } class P { n = 4 }")
            .await;
        assert_eq!(js.value("f() + new P().n").await, "10");
        assert_eq!(js.value("const b = 20; b").await, "20", "a cell may declare a name again");
        let ran = js.0.cleared(js.1, js.2, "a").await;
        assert_eq!(ran.exception().0, "ReferenceError", "{ran:?}");
        assert_eq!(js.value("typeof f + typeof P").await, "'undefinedundefined'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_expression_of_a_javascript_cell_is_its_value() {
    on_each(async |js| {
        assert_eq!(js.value("40 + 2").await, "42");
        assert!(js.run("undefined").await.value.is_none());
        assert!(js.run("const q = 1").await.value.is_none());
        let ran = js.run("({a: [1, null]})").await;
        assert!(ran.text().contains("a:") && ran.form("application/json") == r#"{"a":[1,null]}"#, "{ran:?}");
        assert_eq!(js.value("await new Promise(r => setTimeout(() => r('waited'), 10))").await, "'waited'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_is_more_than_javascript_with_its_types_taken_away() {
    for runtime in [Nodejs, Deno] {
        in_session(plain(), async |session| {
            let ts = In(session, TypeScript, runtime);
            let code = "interface Point { x: number; y?: number }\nenum Color { Red, Green }\nfunction len<T extends Point>(p: T): number { return p.x + (p.y ?? 0) }\nnamespace N { export const k = 5 }";
            assert_eq!(ts.value(&format!("{code}\nlen({{x: 2}} as Point) + Color.Green + N.k")).await, "8");
            assert_eq!(ts.value("const p: Point = {x: 1, y: 2}; len(p!)").await, "3");
            let ran = ts.run("const x: = 1").await;
            assert_eq!(ran.exception().0, "SyntaxError", "{ran:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_streams_are_kept_apart_and_child_processes_count() {
    on_each(async |js| {
        let ran = js.run("console.log('out', {a: 1}); console.error('err')").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out { a: 1 }\n", "err\n"), "{ran:?}");
        let ran = js.run("import { writeSync } from 'node:fs'; writeSync(1, 'one'); writeSync(2, 'two'); undefined").await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("one", "two"), "{ran:?}");
        let code = "import { spawnSync } from 'node:child_process';\nspawnSync('sh', ['-c', 'echo child; echo cry >&2'], { stdio: 'inherit' }).status";
        let ran = js.run(code).await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.text()), ("child\n", "cry\n", "0"), "{ran:?}");
        let ran = js.run("console.log('x'.repeat(300_000))").await;
        assert_eq!(ran.stdout.len(), 300_001);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uncaught_javascript_error_shows_the_lines_of_the_guest_and_keeps_the_state() {
    on_each(async |js| {
        js.run("let x = 1").await;
        let ran = js.run("function f() {\n  throw new TypeError('no such thing')\n}\nf()").await;
        assert_eq!(ran.exception(), ("TypeError", "no such thing"));
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Completed, 1));
        let traceback = &ran.execution.error.as_ref().unwrap().traceback;
        assert!(traceback.contains("throw new TypeError") && traceback.contains(":2"), "{traceback}");
        assert!(!traceback.contains("/opt/cloister"), "{traceback}");
        let ran = js.run("x = 2;\nlet = = 1").await;
        assert_eq!(ran.exception().0, "SyntaxError", "{ran:?}");
        let ran = js.run("function r() { return r() + 1 }\nr()").await;
        assert_eq!(ran.exception().0, "RangeError", "{ran:?}");
        let ran = js.run("await Promise.reject(new Error('rejected'))").await;
        assert_eq!(ran.exception().1, "rejected", "{ran:?}");
        let ran = js.run("throw 'a string'").await;
        assert!(ran.exception().1.contains("a string") && ran.execution.exit_code == 1, "{ran:?}");
        assert_eq!(js.value("x").await, "1", "nothing of a cell with a syntax error has run");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_ends_a_javascript_call_with_its_status_and_keeps_the_state() {
    on_each(async |js| {
        let exit = if js.2 == Deno { "Deno.exit(3)" } else { "process.exit(3)" };
        let ran = js.run(&format!("let x = 1; console.log('before'); {exit}; console.log('after')")).await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Exited, 3), "{ran:?}");
        assert_eq!((ran.execution.state, ran.stdout.as_str()), (StateAfter::Kept, "before\n"));
        assert_eq!(js.value("x").await, "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_javascript_runtime_that_dies_says_so_and_the_next_call_works() {
    on_each(async |js| {
        js.run("let x = 1").await;
        let ran = js
            .run(
                "import { kill, pid } from 'node:process'; kill(pid, 'SIGKILL'); await new Promise(() => {})",
            )
            .await;
        assert_eq!((ran.execution.ended, ran.execution.exit_code), (Ended::Died, 137), "{ran:?}");
        assert_eq!(ran.execution.state, StateAfter::Lost);
        assert_eq!(js.value("typeof x").await, "'undefined'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtimes_share_the_files_and_not_the_names() {
    in_session(plain(), async |session| {
        session.python("x = 'python'; open('shared', 'w').write('from python');").await;
        for (language, runtime) in ALL {
            let js = In(session, language, runtime);
            assert_eq!(js.value("typeof x").await, "'undefined'");
            assert_eq!(
                js.value("import { readFileSync } from 'node:fs'; readFileSync('shared', 'utf8')").await,
                "'from python'"
            );
        }
        let ran = session.code(JavaScript, Nodejs, "require('fs').writeFileSync('made.txt', 'xyz')").await;
        assert_eq!(ran.files(), [("made.txt", 3, true)]);
        assert_eq!(session.shell("cat made.txt").await.stdout, "xyz");
        assert_eq!(session.python("x").await.text(), "'python'");
    })
    .await;
}
