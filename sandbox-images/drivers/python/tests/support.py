"""Starting a driver for a test, in a workspace of its own."""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

DRIVERS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, DRIVERS)

from cell_client import Driver, DriverGone  # noqa: E402,F401

# One font cache for all tests: making it takes seconds.
MPLCONFIGDIR = tempfile.mkdtemp(prefix="driver-test-mpl-")
atexit.register(shutil.rmtree, MPLCONFIGDIR, ignore_errors=True)

FOLDER = os.path.join(DRIVERS, "python")
PYTHON = os.environ.get("CLOISTER_TEST_PYTHON") or ("/usr/bin/python3" if os.path.exists("/usr/bin/python3")
                                                    else sys.executable)


def has(*modules):
    """Whether the interpreter under test can import all of `modules`."""
    code = "import importlib.util as u,sys; sys.exit(not all(u.find_spec(m) for m in sys.argv[1:]))"
    return subprocess.run([PYTHON, "-I", "-c", code, *modules], stderr=subprocess.DEVNULL).returncode == 0


def needs(*modules):
    """Skip a test class where `modules` are missing; under REQUIRE=all they must be there."""
    if os.environ.get("REQUIRE") == "all" or has(*modules):
        return lambda test: test
    return unittest.skip(f"{PYTHON} has no {' or no '.join(modules)}")


class DriverTest(unittest.TestCase):
    """Each test gets a driver, a workspace (its working directory) and a home."""

    argv = [PYTHON, "-I", os.path.join(FOLDER, "driver.py")]
    extra_env = {}

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="driver-test-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.home = os.path.join(folder.name, "home")
        self.workspace = os.path.join(folder.name, "workspace")
        os.mkdir(self.home)
        os.mkdir(self.workspace)
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "LANG": "C.UTF-8",
               "MPLCONFIGDIR": MPLCONFIGDIR, **self.extra_env}
        self.driver = Driver(self.argv, env=env, cwd=self.workspace)
        self.addCleanup(self.driver.close)

    def run_cell(self, code, status="ok", **options):
        """Run a cell and insist on its status; the reply."""
        reply = self.driver.run(code, **options)
        self.assertEqual(reply.status, status, f"{reply.out}{reply.err}{reply.error and reply.error['traceback']}")
        return reply

    def value(self, code, **options):
        return self.run_cell(code, **options).value

    def error(self, code, **options):
        return self.run_cell(code, status="error", **options).error
