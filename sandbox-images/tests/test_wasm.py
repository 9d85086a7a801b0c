"""What the image wasm-python promises, run: its module on Node.js (wasm_host.mjs), and the builder's parts for it."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

from builder import apt, place, site, toolchain, wasm
from builder.run import BuildError
from drivers.cell_client import Driver

from .test_builder import FolderTest

HERE = Path(__file__).resolve().parent.parent
SHA = "ab" * 32
TIER = "this is the WebAssembly tier, which has no "


def host(*options):
    """The command that starts the module, or a visible skip where there is no image or no Node.js."""
    root = place.images() / "wasm-python/current/root"
    missing = None if root.exists() else "the image wasm-python has not been built (make images)"
    missing = missing or (None if shutil.which("node") else "there is no node")
    if missing:
        if os.environ.get("REQUIRE") == "all":
            raise AssertionError(missing)
        raise unittest.SkipTest(missing)
    return ["node", "--no-warnings", "--stack-size=4000", str(HERE / "tests/wasm_host.mjs"), str(root.resolve()), *options]


class Module(unittest.TestCase):
    """One session for all tests: a start on Node.js compiles the module."""

    @classmethod
    def setUpClass(cls):
        command = host("--trip-on=trip me")
        cls.workspace = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.workspace.cleanup)
        cls.driver = Driver(command, cwd=cls.workspace.name)
        cls.addClassCleanup(cls.driver.close)

    def value(self, code):
        reply = self.driver.run(code)
        self.assertIsNone(reply.error, reply.error and reply.error["traceback"])
        return reply.value

    def error(self, code):
        reply = self.driver.run(code)
        self.assertIsNotNone(reply.error, reply.frames)
        return reply.error

    def test_the_driver_passes_every_transcript_that_needs_no_process(self):
        runner = subprocess.run([sys.executable, HERE / "drivers/run_transcripts.py", "--driver", " ".join(host()), "--language", "python",
                                 "--lacking", "processes,interrupts"], capture_output=True, text=True)
        self.assertEqual(runner.returncode, 0, runner.stdout + runner.stderr)

    def test_an_interrupt_written_into_memory_is_a_keyboard_interrupt_and_keeps_the_state(self):
        self.value("kept = 42")
        reply = self.driver.run("print('trip me')\nwhile True: pass")
        self.assertEqual((reply.status, reply.error["name"]), ("interrupted", "KeyboardInterrupt"))
        self.assertIn("<cell ", reply.error["traceback"])
        self.assertEqual(self.value("kept"), "42")

    def test_what_the_tier_lacks_says_so_and_names_the_tier_that_has_it(self):
        for code, lack in {
            "import subprocess; subprocess.run(['ls'])": "processes", "!ls": "processes", "import os; os.fork()": "processes",
            "import os; os.system('ls')": "processes", "import multiprocessing as m; m.Process(target=print).start()": "processes",
            "from concurrent.futures import ProcessPoolExecutor as P; P()": "processes",
            "import threading; threading.Thread(target=print).start()": "threads",
            "import _thread; _thread.start_new_thread(print, ())": "threads",
            "from concurrent.futures import ThreadPoolExecutor as P; P().submit(print)": "threads",
            "import asyncio; await asyncio.to_thread(print)": "threads",
            "import socket; socket.socket()": "sockets",
            "import urllib.request as u; u.urlopen('http://localhost/')": "sockets",
            "import ctypes; ctypes.CDLL(None)": "foreign functions",
        }.items():
            with self.subTest(code):
                message = self.error(code)["message"]
                self.assertIn(TIER + lack, message)
                self.assertIn("aws.codeinterpreter.v1", message)

    def test_a_package_of_the_process_tier_is_named_as_one(self):
        error = self.error("import pandas")
        self.assertEqual((error["name"], error["message"]), ("ModuleNotFoundError", "No module named 'pandas'"))
        self.assertIn("process tier (aws.codeinterpreter.v1)", error["traceback"])

    def test_what_an_interactive_interpreter_has_is_there(self):
        reply = self.driver.run("exit(3)")
        self.assertEqual((reply.status, reply.done["exit_code"]), ("exit", 3))
        self.assertIn("len(obj, /)", self.driver.run("help(len)").out)
        self.driver.run("", clear=True)
        self.assertEqual(self.driver.run("quit(4)").done["exit_code"], 4)

    def test_libraries_that_ask_whether_there_are_processes_hear_no(self):
        self.assertEqual(self.value("import os; hasattr(os, 'fork'), hasattr(os, 'system')"), "(False, False)")
        self.assertEqual(self.value("import importlib.util as u; u.find_spec('numpy') is None"), "True")

    def test_the_standard_library_has_its_compiled_modules(self):
        self.assertEqual(self.value("import zlib, bz2, lzma\n[m.decompress(m.compress(b'x' * 1000)) == b'x' * 1000 for m in (zlib, bz2, lzma)]"),
                         "[True, True, True]")
        self.assertEqual(self.value("import hashlib; hashlib.sha256(b'').hexdigest()[:8], hashlib.blake2b(b'').name"), "('e3b0c442', 'blake2b')")
        self.assertEqual(self.value("import decimal; str(decimal.Decimal(2).sqrt())[:8]"), "'1.414213'")
        self.assertEqual(self.value("import xml.etree.ElementTree as E; E.fromstring('<a><b/></a>')[0].tag"), "'b'")

    def test_a_database_is_a_file_of_the_workspace(self):
        self.assertEqual(self.value("import sqlite3\nwith sqlite3.connect('t.db') as c:\n    c.execute('create table t(x)')\n"
                                    "    c.executemany('insert into t values(?)', [(1,), (2,)])\n"
                                    "sqlite3.connect('t.db').execute('select sum(x) from t').fetchone()"), "(3,)")
        self.assertTrue(Path(self.workspace.name, "t.db").exists())

    def test_time_zones_and_packages_are_there(self):
        self.assertEqual(self.value("import datetime, zoneinfo\n"
                                    "datetime.datetime(2025, 7, 1, tzinfo=zoneinfo.ZoneInfo('Europe/Berlin')).utcoffset()"),
                         "datetime.timedelta(seconds=7200)")
        for name in ("attrs", "bs4", "dateutil", "jinja2", "markdown", "more_itertools", "mpmath", "networkx", "openpyxl", "packaging",
                     "pygments", "pypdf", "pytz", "rich", "sortedcontainers", "sympy", "tabulate", "toolz", "xlsxwriter", "yaml"):
            with self.subTest(name):
                self.value(f"import {name};")
        self.assertEqual(self.value("import sympy as s; x = s.Symbol('x'); s.integrate(2 * x, x)"), "x**2")

    def test_asyncio_runs_tasks_and_timeouts(self):
        self.assertEqual(self.value("import asyncio\nasync def f(n):\n    await asyncio.sleep(0.001)\n    return n\n"
                                    "await asyncio.gather(f(1), f(2))"), "[1, 2]")
        self.assertEqual(self.error("await asyncio.wait_for(asyncio.sleep(60), 0.01)")["name"], "TimeoutError")
        self.assertEqual(self.value("asyncio.run(f(3))"), "3")

    def test_deep_recursion_is_a_recursion_error_and_the_limit_has_a_most(self):
        self.assertEqual(self.error("def f(): f()\nf()")["name"], "RecursionError")
        self.assertEqual(self.error("x = []\nfor _ in range(100_000): x = [x]\nrepr(x)")["name"], "RecursionError")
        self.assertIn("at most 20,000", self.error("import sys; sys.setrecursionlimit(10**6)")["message"])

    def test_every_file_of_the_library_comes_compiled_and_is_not_compared_with_its_source(self):
        root = place.images() / "wasm-python/current/root"
        for source in root.rglob("*.py"):
            compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
            self.assertTrue(compiled.exists(), source)
            with open(compiled, "rb") as file:
                # Bit 0: checked by a hash; bit 1 is not set: never compared.
                self.assertEqual(int.from_bytes(file.read(8)[4:], "little"), 1, source)


class Seed(unittest.TestCase):
    def test_two_sessions_draw_different_numbers(self):
        drawn = set()
        for _ in range(2):
            with tempfile.TemporaryDirectory() as workspace, Driver(host(), cwd=workspace) as driver:
                drawn.add(driver.run("import random, uuid, tempfile; random.random(), uuid.uuid4(), tempfile.mktemp()").value)
        self.assertEqual(len(drawn), 2)


class Toolchain(FolderTest):
    def test_a_wish_that_is_none_is_refused_with_its_line(self):
        path = self.folder / "toolchain.txt"
        path.write_text("# tools\ndeb bookworm clang-19\nsrc trixie python3.13\ncrate libz-sys\n")
        self.assertEqual(toolchain.wishes(path), [("deb", "bookworm", "clang-19"), ("src", "trixie", "python3.13"), ("crate", None, "libz-sys")])
        path.write_text("deb sid clang-19\n")
        with self.assertRaisesRegex(BuildError, "toolchain.txt:1"):
            toolchain.wishes(path)

    def test_the_lock_of_the_repository_has_everything_that_is_wished_for(self):
        locked = toolchain.read(HERE / "wasm-python/toolchain.lock")
        names = {item["name"] for items in locked.plain().values() for item in items}
        self.assertEqual({wish[2] for wish in toolchain.wishes(HERE / "wasm-python/toolchain.txt")}, names)

    def test_versions_are_compared_as_debian_does(self):
        self.assertEqual([apt.compare("1:1.0", "2.0"), apt.compare("1.0~rc1", "1.0"), apt.compare("1.0", "1.0")], [1, -1, 0])


class Site(FolderTest):
    def wheel(self, **files):
        path = self.folder / "a-1-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path

    def test_of_a_wheel_only_what_can_be_imported_is_unpacked(self):
        root = self.folder / "root"
        site.unpack(self.wheel(**{"a/__init__.py": "", "a/_fast.cpython-313-x86_64-linux-gnu.so": "", "a/_fast.c": "", "a-1.data/scripts/a": "",
                                  "a-1.data/purelib/b.py": ""}), root)
        self.assertEqual(sorted(str(path.relative_to(root / "lib/site")) for path in root.rglob("*") if path.is_file()), ["a/__init__.py", "b.py"])

    def test_a_wheel_that_leads_out_of_its_folder_is_refused(self):
        with self.assertRaisesRegex(BuildError, "leads out"):
            site.unpack(self.wheel(**{"../outside.py": ""}), self.folder / "root")


class Image(FolderTest):
    def test_no_file_of_the_driver_has_the_name_of_a_shared_one(self):
        files = wasm.driver_files(HERE)
        self.assertIn("lib/driver/_cloister/session.py", files)
        self.assertIn("lib/driver/_cloister/kernel.py", files)
        self.assertTrue(all(path.is_file() for path in files.values()))

    def test_an_image_without_what_its_description_names_is_refused(self):
        with self.assertRaisesRegex(BuildError, "wasm.module names /python.wasm"):
            wasm.require_places(self.folder, {"wasm": {"module": "/python.wasm"}})
