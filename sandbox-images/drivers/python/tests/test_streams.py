"""Standard streams at descriptor level, threads and child processes."""

import os

from .support import DriverTest


class Streams(DriverTest):
    def test_python_descriptors_c_and_children_are_all_heard(self):
        reply = self.run_cell("import os, sys, subprocess, ctypes\nprint('py'); os.write(1, b'fd\\n')\n"
                              "subprocess.run(['sh', '-c', 'echo child; echo wrong >&2'])\n"
                              "ctypes.CDLL(None).puts(b'from c'); print('err', file=sys.stderr);")
        self.assertEqual(reply.out, "py\nfd\nchild\nfrom c\n")
        self.assertEqual(reply.err, "wrong\nerr\n")

    def test_text_without_a_line_end_is_flushed(self):
        self.assertEqual(self.run_cell("print('no end', end='')").out, "no end")

    def test_text_that_utf8_cannot_say_never_fails(self):
        self.assertEqual(self.run_cell("print('a\\ud800b\\udcffü')").out, "a\\ud800b\\udcffü\n")
        self.assertEqual(self.run_cell("import sys\nsys.stdout.buffer.write(b'\\xff\\n');").stdout, b"\xff\n")

    def test_broken_streams_are_whole_in_the_next_cell(self):
        for code in ("import sys, io; sys.stdout = io.StringIO(); print('swallowed')", "import sys; sys.stdout = None",
                     "import sys; sys.stdout.close()", "import os; os.close(1); os.close(2); os.close(0)",
                     "import os; os.dup2(os.open('/dev/null', os.O_WRONLY), 1)", "import sys; sys.stdout.detach()",
                     "import sys; sys.stdout = object(); sys.stderr = 5", "import sys; del sys.stdout, sys.stderr",
                     "import os; os.closerange(0, 100)"):
            with self.subTest(code):
                self.run_cell(code)
                reply = self.run_cell("import sys, os\nprint('out'); print('err', file=sys.stderr); os.read(0, 1);")
                self.assertEqual((reply.out, reply.err), ("out\n", "err\n"))

    def test_text_printed_to_a_redirected_descriptor_goes_there(self):
        self.run_cell("import os\nfd = os.open('log', os.O_CREAT | os.O_WRONLY)\nos.dup2(fd, 1); print('to the file', end='')")
        self.assertEqual(self.value("open('log').read()"), "'to the file'")

    def test_a_thread_that_outlives_its_call_prints_to_the_pipe(self):
        self.run_cell("import threading, time\ndef late():\n    time.sleep(0.2); print('late'); display('as text')\n"
                      "threading.Thread(target=late).start()")
        self.assertEqual(self.driver.read_late(0.6).out, "late\nas text\n")

    def test_displays_of_many_threads_do_not_mix(self):
        code = ("import threading\nts = [threading.Thread(target=lambda i=i: [display(str(i) * 50_000) for _ in range(5)])"
                " for i in range(8)]\n[t.start() for t in ts]\n[t.join() for t in ts];")
        shown = self.run_cell(code).displays
        self.assertEqual(len(shown), 40)
        for forms in shown:
            text = forms["text/plain"].decode()
            self.assertEqual(text, repr(text[1] * 50_000))


class Children(DriverTest):
    def test_a_forked_child_that_runs_off_the_end_never_answers(self):
        reply = self.run_cell("import os\npid = os.fork()\nif pid == 0:\n    print('child'); display('text of the child')\n"
                              "else:\n    os.waitpid(pid, 0)\n'parent' if pid else 'child value'")
        self.assertEqual(reply.value, "'parent'")
        self.assertEqual(reply.out, "child\ntext of the child\n")
        self.assertEqual([frame["ev"] for frame in reply.frames], ["value", "done"])

    def test_a_forked_child_ends_with_the_status_of_a_script(self):
        code = "import os, sys\npid = os.fork()\nif pid == 0:\n    {}\nos.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])"
        self.assertEqual(self.value(code.format("sys.exit(7)")), "7")
        reply = self.run_cell(code.format("1 / 0"))
        self.assertEqual(reply.value, "1")
        self.assertIn("ZeroDivisionError: division by zero", reply.err)

    def test_children_inherit_neither_the_channel_nor_its_name(self):
        code = ("import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'import os; print(sorted("
                "os.listdir(\"/proc/self/fd\")), [k for k in os.environ if \"CLOISTER\" in k])'], capture_output=True,"
                " text=True, close_fds=False).stdout)")
        self.assertEqual(self.run_cell(code).out.strip(), "['0', '1', '2', '3'] []")
        code = "import os\npid = os.fork()\nif pid == 0: print(sorted(os.listdir('/proc/self/fd'))); os._exit(0)\nos.waitpid(pid, 0);"
        self.assertNotIn("CLOISTER", str(self.run_cell("import os\ndict(os.environ)").value))

    def test_multiprocessing_and_executors_work(self):
        code = ("import multiprocessing as mp\nfrom concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor\n"
                "def square(n): return n * n\nwith mp.Pool(2) as pool: a = pool.map(square, range(4))\n"
                "with ProcessPoolExecutor(2) as pool: b = list(pool.map(square, range(4)))\n"
                "with ThreadPoolExecutor(2) as pool: c = list(pool.map(square, range(4)))\n"
                "with ProcessPoolExecutor(2, mp_context=mp.get_context('spawn')) as pool: d = list(pool.map(abs, [-1]))\n"
                "(a, b, c, d)")
        self.assertEqual(self.value(code), "([0, 1, 4, 9], [0, 1, 4, 9], [0, 1, 4, 9], [1])")

    def test_a_spawned_worker_that_lacks_a_function_of_a_cell_says_so(self):
        code = ("import multiprocessing as mp\nfrom concurrent.futures import ProcessPoolExecutor\ndef f(n): return n\n"
                "with ProcessPoolExecutor(1, mp_context=mp.get_context('spawn')) as pool: list(pool.map(f, [1]))")
        reply = self.run_cell(code, status="error")
        self.assertEqual(reply.error["name"], "BrokenProcessPool")
        self.assertIn("Can't get attribute 'f'", reply.err)


class Commands(DriverTest):
    def test_shell_lines_run_and_say_when_they_fail(self):
        reply = self.run_cell("x = 1\n!echo out; echo err >&2; exit 3\nif x:\n    !echo inner\n")
        self.assertEqual(reply.out, "out\ninner\n")
        self.assertEqual(reply.err, "err\n[the command ended with exit status 3]\n")

    def test_a_bash_cell_runs_as_a_whole(self):
        self.assertEqual(self.run_cell("%%bash\nfor i in 1 2; do echo $i; done").out, "1\n2\n")

    def test_valid_python_and_strings_keep_their_meaning(self):
        self.assertEqual(self.value("s = '''\n!ls\n%pip install x\n'''\ns"), repr("\n!ls\n%pip install x\n"))
        self.assertEqual(self.value("pip = 3\nx = 7\n(x\n%pip)"), "1")
        self.assertEqual(self.value("s = '''\n!ls\n'''\n!true\ns"), repr("\n!ls\n"))

    def test_other_magics_are_the_syntax_errors_they_are(self):
        self.assertEqual(self.error("%timeit 1")["name"], "SyntaxError")
        self.assertEqual(self.error("f(\n!ls")["name"], "SyntaxError")
        self.run_cell("%matplotlib inline\nx = 1")


class Packages(DriverTest):
    def test_a_package_installed_between_cells_is_found(self):
        self.assertEqual(self.error("import brand_new")["name"], "ModuleNotFoundError")
        version = self.value("import sys\n'python%d.%d' % sys.version_info[:2]").strip("'")
        site = os.path.join(self.home, ".local", "lib", version, "site-packages")
        os.makedirs(site)
        with open(os.path.join(site, "brand_new.py"), "w") as file:
            file.write("n = 5")
        self.assertEqual(self.value("import brand_new\nbrand_new.n"), "5")

    def test_modules_of_the_workspace_can_be_imported_but_cannot_replace_those_of_the_driver(self):
        for name in ("asyncio", "ctypes", "site", "_cloister", "wire", "traceback"):
            with open(os.path.join(self.workspace, name + ".py"), "w") as file:
                file.write("raise SystemError('the wrong module')")
        with open(os.path.join(self.workspace, "mine.py"), "w") as file:
            file.write("n = 6")
        self.assertEqual(self.value("import mine\nmine.n"), "6")
        self.assertEqual(self.error("async def f(): raise KeyError\nawait f()")["name"], "KeyError")
        self.assertEqual(self.error("import wire")["name"], "SystemError")
