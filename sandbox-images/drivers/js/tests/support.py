"""Starting a JavaScript driver for a test, in a workspace of its own; the same tests run on Node and on Deno."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

DRIVERS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, DRIVERS)

from cell_client import Driver, DriverGone  # noqa: E402,F401

NODE = os.environ.get("CLOISTER_TEST_NODE") or shutil.which("node") or "node"
DENO = os.environ.get("CLOISTER_TEST_DENO") or shutil.which("deno") or "deno"
ACORN = os.path.join(DRIVERS, "js", "node_modules", "acorn")

# The command lines of image.toml, with the binaries and the folder of this checkout.
COMMANDS = {
    "nodejs": [NODE, "--disable-warning=ExperimentalWarning", os.path.join(DRIVERS, "nodejs", "driver.mjs")],
    "deno": [DENO, "run", "--allow-all", "--no-lock", "--no-config", "--quiet",
             os.path.join(DRIVERS, "deno", "driver.mjs")],
}


def missing(runtime):
    """Why the driver of this runtime cannot be started here, or None."""
    binary = COMMANDS[runtime][0]
    if not os.path.isdir(ACORN):
        return f"{ACORN} is missing: run `npm ci` in sandbox-images/drivers/js"
    if not os.path.exists(binary):
        return f"{binary} is missing: set CLOISTER_TEST_NODE and CLOISTER_TEST_DENO"
    if runtime == "nodejs":
        version = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout
        if int(version.strip("v\n").split(".")[0]) < 24:
            return f"{binary} is {version.strip()}; the driver needs 24"
    return None


class DriverTest(unittest.TestCase):
    """Each test gets a driver and a workspace, its working directory."""

    runtime = None
    environment = {}

    def setUp(self):
        reason = missing(self.runtime)
        if reason and os.environ.get("REQUIRE") == "all":
            self.fail(reason)
        if reason:
            self.skipTest(reason)
        folder = tempfile.TemporaryDirectory(prefix="js-driver-test-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.workspace = folder.name
        env = {**os.environ, "HOME": self.workspace, **self.environment}
        self.driver = Driver(COMMANDS[self.runtime], interrupt="pipe", env=env, cwd=self.workspace)
        self.addCleanup(self.driver.close)

    def write(self, name, text):
        path = os.path.join(self.workspace, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_cell(self, code, language="javascript", **options):
        return self.driver.run(code, language=language, **options)

    def ok(self, code, language="javascript", **options):
        """Run a cell that must end well."""
        reply = self.run_cell(code, language, **options)
        self.assertEqual(reply.status, "ok", (reply.error or {}).get("traceback"))
        return reply

    def value(self, code, language="javascript"):
        return self.ok(code, language).value

    def fails(self, code, language="javascript", **options):
        """Run a cell that must fail; returns its error."""
        reply = self.run_cell(code, language, **options)
        self.assertEqual(reply.status, "error", reply.value)
        self.assertEqual(reply.done["exit_code"], 1)
        return reply.error

    def interrupted(self, code, after=0.2, **options):
        reply = self.run_cell(code, interrupt_after=after, **options)
        self.assertEqual(reply.status, "interrupted")
        self.assertEqual(reply.done["exit_code"], 130)
        self.assertEqual(reply.error["name"], "KeyboardInterrupt")
        return reply


def on_both(tests):
    """Class decorator: the tests of a mixin as two test cases, one for each runtime, in the mixin's module."""
    module = sys.modules[tests.__module__]
    for runtime in COMMANDS:
        name = f"{tests.__name__}_{runtime}"
        case = type(name, (tests, DriverTest), {"runtime": runtime, "__module__": tests.__module__})
        setattr(module, name, case)
    return tests
