"""Errors, exits and interrupts: one honest answer, and the state is kept."""

from .support import DriverTest


class Errors(DriverTest):
    def test_a_traceback_shows_the_cell_and_none_of_the_driver(self):
        error = self.error("def f():\n    return 1 / 0\nf()")
        self.assertEqual((error["name"], error["message"]), ("ZeroDivisionError", "division by zero"))
        self.assertIn('File "<cell 1>", line 2, in f\n    return 1 / 0', error["traceback"])
        self.assertTrue(error["traceback"].startswith("Traceback (most recent call last):\n  File \"<cell 1>\""))
        self.assertNotIn("_cloister", error["traceback"])

    def test_no_frame_of_the_driver_is_shown_for_await_input_or_threads(self):
        self.assertNotIn("asyncio", self.error("async def f(): raise KeyError(1)\nawait f()")["traceback"])
        self.assertNotIn("_cloister", self.error("input()")["traceback"])
        reply = self.run_cell("import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T'); t.start(); t.join()")
        self.assertIn("Exception in thread T:\nTraceback (most recent call last):\n  File \"<cell 3>\"", reply.err)
        self.assertIn("ZeroDivisionError", reply.err)

    def test_a_syntax_error_points_at_its_place(self):
        error = self.error("x = 1\ny = (2 +\n")
        self.assertEqual(error["name"], "SyntaxError")
        self.assertTrue(error["traceback"].startswith('  File "<cell 1>", line 2'), error["traceback"])

    def test_causes_contexts_and_groups_are_kept(self):
        error = self.error("try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('v') from e")
        self.assertIn("The above exception was the direct cause", error["traceback"])
        error = self.error("try:\n    1 / 0\nexcept Exception as e:\n    undefined")
        self.assertIn("During handling of the above exception", error["traceback"])
        error = self.error("raise ExceptionGroup('two', [KeyError('a'), ValueError('b')])")
        self.assertIn("KeyError", error["traceback"])
        self.assertIn("ValueError: b", error["traceback"])

    def test_an_exception_whose_text_cannot_be_made_is_reported(self):
        error = self.error("class E(Exception):\n    def __str__(self): raise RuntimeError\nraise E")
        self.assertEqual(error["name"], "E")

    def test_a_gigantic_message_and_lone_surrogates_pass_the_channel(self):
        error = self.error("raise ValueError('x' * 10**7)")
        self.assertLess(len(error["traceback"]), 300_000)
        self.assertIn("\\udcff", self.error("raise ValueError('\\udcff')")["message"])

    def test_deep_recursion_is_an_error_and_state_is_kept(self):
        self.run_cell("x = 1")
        error = self.error("def f(): return f()\nf()")
        self.assertEqual(error["name"], "RecursionError")
        self.assertIn("more times]", error["traceback"])
        self.assertEqual(self.value("x"), "1")

    def test_recursion_through_c_code_in_a_thread_is_an_error_and_not_a_crash(self):
        code = ("import threading\nseen = []\ndef f(n): return sorted([n], key=lambda x: f(x + 1))\ndef g():\n"
                "    try: f(0)\n    except RecursionError: seen.append('caught')\n"
                "t = threading.Thread(target=g); t.start(); t.join()\nseen")
        self.assertEqual(self.value(code), "['caught']")

    def test_a_traceback_of_very_many_frames_is_made_quickly(self):
        error = self.error("import sys\nsys.setrecursionlimit(200_000)\ndef f(n): return f(n + 1)\nf(0)")
        self.assertIn("calls left out", error["traceback"])

    def test_a_warning_is_shown_once_and_in_the_next_cell_again(self):
        code = "import warnings\nfor _ in range(3): warnings.warn('careful')"
        for number in (1, 2):
            self.assertEqual(self.run_cell(code).err,
                             f"<cell {number}>:2: UserWarning: careful\n  for _ in range(3): warnings.warn('careful')\n")

    def test_what_needs_a_terminal_says_so(self):
        self.assertEqual(self.error("input('name? ')")["message"], "input() is not available: this session has no "
                         "terminal; pass data in the code or in a file")
        self.assertEqual(self.error("input()")["name"], "EOFError")
        self.assertIn("no terminal", self.error("from getpass import getpass\ngetpass()")["message"])
        self.assertIn("no terminal", self.error("breakpoint()")["message"])
        self.assertEqual(self.value("import sys\nsys.stdin.read()"), "''")

    def test_another_language_is_refused(self):
        self.assertIn("runs python", self.error("1", language="javascript")["message"])


class Exits(DriverTest):
    def test_exit_codes_are_those_of_a_process_and_state_is_kept(self):
        self.run_cell("import sys\nx = 1")
        for code, status in (("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit(-1)", 255), ("raise SystemExit(256)", 0),
                             ("exit(4)", 4), ("sys.exit(True)", 1)):
            with self.subTest(code):
                reply = self.run_cell(code, status="exit")
                self.assertEqual(reply.done["exit_code"], status)
                self.assertIsNone(reply.error)
        self.assertEqual(self.value("x"), "1")

    def test_a_text_goes_to_stderr_with_code_1(self):
        reply = self.run_cell("import sys\nsys.exit('could not')", status="exit")
        self.assertEqual((reply.done["exit_code"], reply.err), (1, "could not\n"))

    def test_the_status_of_each_end_has_its_exit_code(self):
        self.assertEqual(self.run_cell("1").done["exit_code"], 0)
        self.assertEqual(self.run_cell("1 / 0", status="error").done["exit_code"], 1)


class Interrupts(DriverTest):
    def test_loops_sleeps_awaits_regexes_and_reprs_are_interrupted_and_state_is_kept(self):
        self.run_cell("import asyncio, re, time, threading\nx = 1")
        for code in ("while True: pass", "time.sleep(60)", "await asyncio.sleep(60)", "7 ** 10 ** 8",
                     "re.match(r'(a+)+$', 'a' * 40 + 'b')", "threading.Event().wait()",
                     "class L:\n    def __repr__(self):\n        while True: pass\nL()",
                     "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E"):
            with self.subTest(code):
                reply = self.driver.run(code, interrupt_after=0.2)
                if code.startswith("class E"):
                    self.assertEqual(reply.status, "error")
                    continue
                self.assertEqual((reply.status, reply.done["exit_code"]), ("interrupted", 130))
                self.assertEqual(reply.error["name"], "KeyboardInterrupt")
        self.assertEqual(self.value("x"), "1")

    def test_an_interrupted_coroutine_runs_its_finally_block(self):
        reply = self.driver.run("import asyncio\nasync def f():\n    try: await asyncio.sleep(60)\n"
                                "    finally: print('cleaned')\nawait f()", interrupt_after=0.2)
        self.assertEqual((reply.status, reply.out), ("interrupted", "cleaned\n"))
        self.assertIn("await f()", reply.error["traceback"])

    def test_an_interrupt_between_cells_is_ignored(self):
        self.run_cell("x = 1")
        for _ in range(50):
            self.driver.interrupt()
            self.assertEqual(self.value("x"), "1")

    def test_handlers_timers_and_masks_of_a_cell_are_undone(self):
        self.run_cell("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
                      "signal.signal(signal.SIGALRM, lambda *_: 1 / 0)\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\n"
                      "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGUSR1])")
        self.run_cell("time.sleep(0.4)")
        self.run_cell("while True: pass", status="interrupted", interrupt_after=0.2)
        self.assertEqual(self.value("(signal.getsignal(signal.SIGALRM).name, signal.pthread_sigmask(0, ()))"),
                         "('SIG_DFL', set())")

    def test_frames_stay_whole_under_a_hail_of_interrupts(self):
        code = "while True:\n    try:\n        while True: display('x' * 100_000)\n    except KeyboardInterrupt: n += 1"
        self.run_cell("n = 0")
        import threading
        stop = threading.Event()

        def hail():
            while not stop.wait(0.002):
                self.driver.interrupt()

        hailing = threading.Thread(target=hail)
        hailing.start()
        try:
            reply = self.driver.run("import time\nend = time.time() + 1\n" + code.replace("True", "time.time() < end"),
                                    displays=10**6)
        finally:
            stop.set()
            hailing.join()
        for shown in reply.displays:
            self.assertEqual(len(shown["text/plain"]), 100_002)
        self.assertGreater(len(reply.displays), 10)
        self.assertIn(reply.status, ("ok", "interrupted"))
        self.assertGreater(int(self.value("n")), 10)
