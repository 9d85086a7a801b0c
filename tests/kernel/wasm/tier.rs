//! What the tier says of itself, and of what it cannot do: always a typed error that names it and the one to use.

use super::{refused, wall, wasm};
use cloister_core::backend::InvokeError;
use cloister_core::command::{Language, Runtime, ToolCall};
use cloister_core::event::EntryKind;
use cloister_core::event::Outcome;
use cloister_tests::calls::in_session;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_says_which_tier_engine_and_interpreter_it_has() {
    in_session(wasm(), async |session| {
        assert!(session.is_wasm() && wall(session, "tier").starts_with("wasm"));
        assert!(!wall(session, "engine").is_empty());
        assert!(wall(session, "interpreter").starts_with("CPython 3."), "{}", wall(session, "interpreter"));
        let ran = session.python("import sys; sys.platform").await;
        assert_eq!(ran.text(), "'wasi'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn languages_and_tools_that_the_tier_has_not_are_refused_with_the_tier_that_has_them() {
    in_session(wasm(), async |session| {
        session.python("x = 1").await;
        let code = |language, runtime| ToolCall::ExecuteCode {
            code: "1".into(),
            language,
            runtime,
            clear_context: false,
        };
        for call in [
            code(Language::JavaScript, Runtime::Nodejs),
            code(Language::TypeScript, Runtime::Deno),
            ToolCall::ExecuteCommand { command: "ls".into() },
            ToolCall::StartCommandExecution { command: "ls".into() },
            ToolCall::GetTask { task_id: "t".into() },
            ToolCall::StopTask { task_id: "t".into() },
        ] {
            let name = call.name();
            match refused(session, call).await {
                InvokeError::NotSupported(why) => {
                    assert!(why.contains("wasm tier") && why.contains("process tier"), "{name}: {why}");
                    assert!(why.contains("aws.codeinterpreter.v1"), "{name}: {why}");
                }
                other => panic!("{name} was refused with {other:?}"),
            }
        }
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_cannot_do_here_is_an_exception_that_names_the_tier_to_use() {
    in_session(wasm(), async |session| {
        session.python("x = 1").await;
        for missing in [
            "import subprocess; subprocess.run(['ls'])",
            "import os; os.system('ls')",
            "import threading; threading.Thread(target=print).start()",
            "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor().submit(print)",
            "import multiprocessing; multiprocessing.Process(target=print).start()",
            "import socket; socket.create_connection(('127.0.0.1', 1))",
            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1/')",
            "import numpy",
            "import pandas as pd",
            "!ls",
            "%pip install attrs",
        ] {
            let ran = session.python(missing).await;
            let said = format!("{:?}", ran.execution.error);
            assert!(said.contains("process tier"), "{missing}: {ran:?}");
            assert!(ran.execution.error.is_some(), "{missing}: {ran:?}");
        }
        assert_eq!(session.python("x").await.text(), "1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tier_cannot_keep_states_and_says_so() {
    in_session(cloister_tests::rig::plain(), async |session| {
        for call in [ToolCall::Checkpoint, ToolCall::Restore { checkpoint: None }] {
            let name = call.name();
            match session.try_tool(call).await {
                Err(InvokeError::NotSupported(why)) => assert!(why.contains("wasm"), "{name}: {why}"),
                Ok(Outcome::Failed { message }) => assert!(message.contains("wasm"), "{name}: {message}"),
                other => panic!("{name} ended with {other:?}"),
            }
        }
    })
    .await;
}

/// The standard library is whole where WASI allows it.
#[tokio::test(flavor = "multi_thread")]
async fn the_standard_library_and_its_c_modules_work() {
    const PROGRAM: &str = r#"
import asyncio, base64, bz2, csv, datetime, decimal, difflib, email.message, fractions, functools, glob, gzip, hashlib, heapq, html
import io, itertools, json, logging, lzma, math, operator, pathlib, pickle, pprint, random, re, shutil, sqlite3, statistics, string
import struct, tarfile, tempfile, textwrap, time, tomllib, typing, unicodedata, unittest, uuid, xml.etree.ElementTree as ET, zipfile, zlib, zoneinfo
db = sqlite3.connect('f.db'); db.execute('create table t(a)'); db.executemany('insert into t values (?)', [(1,), (2,)]); db.commit()
assert db.execute('select sum(a) from t').fetchone() == (3,)
data = b'x' * 10_000
for pack in (zlib, bz2, lzma, gzip): assert pack.decompress(pack.compress(data)) == data
with zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr('n', data)
assert zipfile.ZipFile('a.zip').read('n') == data
assert hashlib.sha256(b'').hexdigest().startswith('e3b0c442')
assert decimal.Decimal(1) / 3 != 0 and fractions.Fraction(1, 3) * 3 == 1
assert ET.fromstring('<a><b/></a>').find('b') is not None
assert pathlib.Path('f.db').exists() and tempfile.mkdtemp() and datetime.datetime.now(zoneinfo.ZoneInfo('UTC'))
async def f(): await asyncio.sleep(0); return 7
class T(unittest.TestCase):
    def test(self): self.assertEqual(1, 1)
assert unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(T)).wasSuccessful()
(await f(), list(csv.reader(['a,b'])), re.findall('[0-9]+', 'a1b22'), unicodedata.name('ü')[:5])
"#;
    in_session(wasm(), async |session| {
        let ran = session.python(PROGRAM).await;
        assert_eq!(ran.text(), "(7, [['a', 'b']], ['1', '22'], 'LATIN')", "{ran:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_python_makes_are_listed_as_links_and_removed_as_links() {
    in_session(wasm(), async |session| {
        session.write(&[("b.txt", b"12345"), ("a dir/inner", b"x")]).await.unwrap();
        let ran =
            session.python("import os\nos.symlink('b.txt', 'link'); os.symlink('nowhere', 'dangling')").await;
        assert!(ran.execution.error.is_none(), "{ran:?}");
        let Outcome::Listing { entries, .. } =
            session.tool(ToolCall::ListFiles { path: String::new() }).await
        else {
            panic!("no listing")
        };
        let seen: Vec<_> = entries.iter().map(|e| (e.name.as_str(), e.kind)).collect();
        let link = EntryKind::Symlink;
        let wanted =
            [("a dir", EntryKind::Directory), ("b.txt", EntryKind::File), ("dangling", link), ("link", link)];
        assert_eq!(seen, wanted);
        assert_eq!(session.read("link").await.unwrap(), "12345");
        let paths = ["link", "dangling"].map(str::to_owned).to_vec();
        let removed = session.tool(ToolCall::RemoveFiles { paths }).await;
        assert!(matches!(&removed, Outcome::Removed { failed, .. } if failed.is_empty()), "{removed:?}");
        assert_eq!(session.names(".").await, ["a dir", "b.txt"]);
    })
    .await;
}

/// A session's files belong to its interpreter while that runs.
#[tokio::test(flavor = "multi_thread")]
async fn file_tools_wait_for_the_call_that_is_running_and_see_what_it_did() {
    in_session(wasm(), async |session| {
        session.python("import time").await;
        let running =
            session.python("open('f', 'w').write('during'); time.sleep(1); open('f', 'w').write('after')");
        let reading = async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            session.read("f").await.unwrap()
        };
        let (ran, read) = tokio::join!(running, reading);
        assert!(ran.execution.error.is_none(), "{ran:?}");
        assert_eq!(read, "after");
    })
    .await;
}
