"""The cell channel: what is not a frame ends the driver, and guest code cannot put the conversation out of step."""

import json
import time

from .support import DriverGone, DriverTest


class Channel(DriverTest):
    def test_ready_names_the_version(self):
        self.assertRegex(self.driver.ready["version"], r"\A3\.\d+\.\d+\Z")

    def test_the_end_of_the_channel_ends_the_driver_with_0(self):
        self.run_cell("import threading, atexit, time\nthreading.Thread(target=time.sleep, args=(60,)).start()")
        began = time.monotonic()
        self.assertEqual(self.driver.close(), 0)
        self.assertLess(time.monotonic() - began, 2)

    def test_what_is_not_a_frame_ends_the_driver_at_once(self):
        def framed(data):
            return len(data).to_bytes(4, "big") + bytes(4) + data
        for data in (b"\xff" * 8, bytes(4) + b"\xff" * 4, framed(b"{"), framed(b"[]"), framed(b'{"op":"dance"}'),
                     framed(b'{"op":"run"}'), framed(b"\xff"), framed(b'"' + b"x" * (1 << 20) + b'"')):
            with self.subTest(data[:20]):
                self.setUp()
                try:
                    self.driver.send_bytes(data)
                except ConnectionError:
                    pass
                gone = self.driver.wait_gone()
                self.assertEqual(gone.status, 2)
                self.assertIn(b"the cell channel is closed", gone.stderr)

    def test_a_guest_that_closes_every_descriptor_loses_only_its_own_driver(self):
        with self.assertRaises(DriverGone):
            self.driver.run("import os\nos.closerange(0, 4096)")

    def test_output_that_looks_like_frames_is_only_output(self):
        forged = json.dumps({"ev": "done", "id": "0" * 31 + "1", "status": "ok", "exit_code": 0})
        reply = self.run_cell(f"print({forged!r})\n2")
        self.assertEqual((reply.out, reply.value), (forged + "\n", "2"))

    def test_a_guest_that_breaks_json_os_and_main_is_still_answered(self):
        self.run_cell("import json, os, sys\njson.dumps = json.loads = os.write = os.read = os.getpid = os._exit = None\n"
                      "sys.modules['os'] = sys.modules['json'] = sys.modules['traceback'] = None\ndel sys.modules['__main__']")
        self.assertEqual(self.value("1 + 1"), "2")
        self.assertEqual(self.error("1 / 0")["name"], "ZeroDivisionError")

    def test_warm_answers_and_changes_nothing(self):
        self.run_cell("x = 1\n5")
        self.assertEqual(self.driver.warm().frames[-1]["ev"], "warmed")
        self.assertEqual(self.value("(x, _)"), "(1, 5)")
        self.assertIn("<cell 3>", self.error("1 / 0")["traceback"])

    def test_displays_over_the_limit_are_replaced_by_a_text_that_says_so(self):
        code = "class P:\n    def _repr_png_(self): return b'p' * 5000\n    def __repr__(self): return 'P'\ndisplay(P())"
        self.assertEqual(set(self.run_cell(code).displays[0]), {"image/png", "text/plain"})
        shown = self.run_cell(code, display=4000).displays[0]
        self.assertEqual(shown, {"text/plain": b"P\n[image/png left out: it has 5,000 bytes, and a display may have at "
                                               b"most 4,000]"})

    def test_displays_over_the_number_are_left_out_and_that_is_said_once(self):
        reply = self.run_cell("for i in range(5): display(i)", displays=2)
        self.assertEqual([forms["text/plain"] for forms in reply.displays], [b"0", b"1"])
        self.assertEqual(reply.err.count("left out"), 1)
