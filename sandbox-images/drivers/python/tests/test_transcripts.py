"""The transcripts that every driver must pass, played against this one."""

import os
import subprocess
import sys
import unittest

from .support import DRIVERS, FOLDER, PYTHON


class Transcripts(unittest.TestCase):
    def test_the_driver_passes_every_transcript(self):
        runner = subprocess.run([sys.executable, os.path.join(DRIVERS, "run_transcripts.py"), "--driver",
                                 f"{PYTHON} -I {os.path.join(FOLDER, 'driver.py')}", "--language", "python"],
                                capture_output=True, text=True)
        self.assertEqual(runner.returncode, 0, runner.stdout + runner.stderr)

    def test_the_runner_fails_for_a_driver_that_does_not_keep_state(self):
        # `clear` is forced on by a shim between the runner and the driver.
        shim = ("import runpy, sys\nsys.argv = sys.argv[1:]\nimport os\nsys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
                "from _cloister import serve\nrun = serve.Server.run\n"
                "serve.Server.run = lambda self, request, blob: run(self, {**request, 'clear': True}, blob)\n"
                "serve.main_from_environment()")
        runner = subprocess.run([sys.executable, os.path.join(DRIVERS, "run_transcripts.py"), "--driver",
                                 f"{PYTHON} -I -c '{shim.replace(chr(39), chr(34))}' {os.path.join(FOLDER, 'driver.py')}",
                                 "--language", "python", os.path.join(DRIVERS, "transcripts", "state.json")],
                                capture_output=True, text=True)
        self.assertEqual(runner.returncode, 1, runner.stdout + runner.stderr)
        self.assertIn("step 2", runner.stdout)
