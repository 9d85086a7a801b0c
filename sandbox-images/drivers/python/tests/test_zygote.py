"""The zygote with a stand-in library that forks without a sandbox (fake_zygote.c, built here with cc)."""

import array
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from .support import FOLDER, MPLCONFIGDIR, PYTHON, DriverTest, has

sources = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_zygote.c")


def unavailable():
    return shutil.which("cc") is None and os.environ.get("REQUIRE") != "all"


class Child:
    """Looks like subprocess.Popen to the cell client: a child of the zygote, which the zygote cannot wait for here."""

    def __init__(self, pid):
        self.pid = pid

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or 60)
        while time.monotonic() < end:
            try:
                with open(f"/proc/{self.pid}/stat") as file:
                    if file.read().rpartition(")")[2].split()[0] == "Z":
                        return 0
            except FileNotFoundError:
                return 0
            time.sleep(0.01)
        raise subprocess.TimeoutExpired("child", timeout)

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        os.kill(self.pid, 9)


@unittest.skipIf(unavailable(), "no C compiler (cc)")
class Zygote(DriverTest):
    preload = [name for name in ("numpy", "pandas", "matplotlib.pyplot") if has(name)]
    preload += ["ssl", "uuid", "tempfile", "multiprocessing", "random", "no_such_module"]

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="zygote-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.library = os.path.join(folder.name, "libzygote.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", cls.library, sources], check=True)
        # An imported module that made generators of its own, as some packages do.
        with open(os.path.join(folder.name, "makes_rng.py"), "w") as file:
            file.write("import random\nmine = random.Random()\n")
        cls.modules = folder.name

    def setUp(self):
        pass

    def start(self, preload):
        self.requests, theirs = socket.socketpair()
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8",
               "MPLCONFIGDIR": MPLCONFIGDIR,
               "CLOISTER_ZYGOTE_LIB": self.library, "CLOISTER_ZYGOTE_PRELOAD": ",".join(preload)}
        code = f"import sys; sys.path.append({self.modules!r}); import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
        self.zygote = subprocess.Popen(
            [PYTHON, "-I", "-c", code, os.path.join(FOLDER, "zygote.py")], env=env, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, pass_fds=[9], preexec_fn=lambda: os.dup2(theirs.fileno(), 9))
        theirs.close()
        self.addCleanup(self.end)

    def end(self):
        self.requests.close()
        self.zygote.wait(10)
        self.zygote.stderr.close()

    def fork(self):
        """A driver forked from the zygote, in the client's hands."""
        import cell_client

        class Forked(cell_client.Driver):
            def __init__(driver):
                ours, theirs = socket.socketpair()
                out, err, null = os.pipe(), os.pipe(), os.open("/dev/null", os.O_RDWR)
                fds = array.array("i", [null, out[1], err[1], theirs.fileno()])
                self.requests.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                driver.process = Child(int.from_bytes(self.requests.recv(4), "little"))
                theirs.close()
                for fd in (null, out[1], err[1]):
                    os.close(fd)
                driver._socket, driver._out, driver._err, driver._interrupt_fd, driver._count = ours, out[0], err[0], None, 0
                for fd in (out[0], err[0]):
                    os.set_blocking(fd, False)
                driver.ready = driver._wait(cell_client.Reply(), lambda frame: frame["ev"] == "ready", 30).frames[-1]

        driver = Forked()
        self.addCleanup(driver.close)
        return driver

    def test_children_are_fresh_drivers_with_the_preloaded_modules(self):
        self.start(self.preload)
        first, second = self.fork(), self.fork()
        first.run("x = 1")
        self.assertEqual(second.run("x").error["name"], "NameError")
        self.assertEqual(second.run("1 + 1").value, "2")
        loaded = second.run("import sys\n[m for m in %r if m in sys.modules]" % self.preload).value
        self.assertEqual(loaded, repr(self.preload[:-1]))
        # 0, 1, 2, private copies of them, the channel, and the descriptor that lists the folder.
        self.assertEqual(second.run("import os\nlen(os.listdir('/proc/self/fd')), len(os.listdir('/proc/self/task'))").value,
                         "(8, 1)")
        self.requests.close()
        self.assertEqual(self.zygote.wait(10), 0)
        self.assertIn(b"preload: no_such_module cannot be imported", self.zygote.stderr.read())

    def test_programs_that_a_child_starts_do_not_inherit_the_names_of_the_channel(self):
        self.start(["json"])
        reply = self.fork().run("import os, subprocess\nprint('CLOISTER' in str(os.environ), flush=True)\nsubprocess.run(['env']);")
        self.assertIn("HOME=", reply.out)
        self.assertNotIn("CLOISTER", reply.out)

    def test_no_two_children_draw_the_same_numbers(self):
        self.start([*self.preload, "makes_rng"])
        code = ("import random, uuid, tempfile, ssl, multiprocessing, sys, makes_rng\nnumbers = {'random': random.random(),"
                " 'own': makes_rng.mine.random(), 'uuid': uuid.uuid4(), 'ssl': ssl.RAND_bytes(8), 'uuid1': uuid.uuid1(),"
                " 'name': next(tempfile._get_candidate_names()), 'key': bytes(multiprocessing.current_process().authkey)}\n"
                "if 'numpy' in sys.modules:\n    import numpy as np\n    numbers['numpy'] = np.random.random()\n"
                "    numbers['new'] = np.random.default_rng().random()\n"
                "for item in numbers.items(): print(*item)")
        outputs = [self.fork().run(code).out.splitlines() for _ in range(3)]
        self.assertGreater(len(outputs[0]), 6)
        for lines in zip(*outputs):
            self.assertEqual(len(set(lines)), 3, lines)

    def test_interrupts_warming_and_figures_work_in_a_child(self):
        self.start(self.preload)
        child = self.fork()
        self.assertEqual(child.warm().frames[-1]["ev"], "warmed")
        self.assertEqual(child.run("while True: pass", interrupt_after=0.2).status, "interrupted")
        if "matplotlib.pyplot" in self.preload:
            self.assertEqual(len(child.run("import matplotlib.pyplot as plt\nplt.plot([1]); plt.show()").displays), 1)

    def test_a_zygote_with_a_second_thread_refuses_to_serve(self):
        with open(os.path.join(self.modules, "starts_thread.py"), "w") as file:
            file.write("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
        self.start(["starts_thread"])
        self.assertEqual(self.zygote.wait(10), 3)
        self.assertIn(b"2 threads are running", self.zygote.stderr.read())
