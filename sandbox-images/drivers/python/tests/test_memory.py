"""The memory limit of a cell: a MemoryError that leaves the session alive."""

from .support import DriverTest

LIMIT = 300 << 20


class Memory(DriverTest):
    def test_too_large_an_object_is_a_memory_error_and_state_is_kept(self):
        self.run_cell("x = 1")
        self.assertEqual(self.error("y = bytearray(10**9)", memory=LIMIT)["name"], "MemoryError")
        self.assertEqual(self.value("x", memory=LIMIT), "1")

    def test_memory_held_by_the_frames_of_a_failed_cell_is_free_for_the_next(self):
        hungry = "def f():\n    parts = []\n    while True: parts.append(bytearray(1 << 20))\nf()"
        for _ in range(3):
            self.assertEqual(self.error(hungry, memory=LIMIT)["name"], "MemoryError")
        self.assertEqual(self.value("len(bytearray(200 << 20))", memory=LIMIT), str(200 << 20))

    def test_a_cell_that_leaves_no_room_for_the_smallest_object_is_still_answered(self):
        self.assertEqual(self.error("x = []\nwhile True: x.append([])", memory=LIMIT)["name"], "MemoryError")
        self.assertGreater(int(self.value("len(x)")), 10**6)

    def test_a_guest_that_lowers_the_hard_limit_is_still_answered(self):
        self.run_cell(f"import resource\nresource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))", memory=LIMIT)
        self.assertEqual(self.value("1 + 1", memory=LIMIT * 2), "2")

    def test_the_limit_is_gone_between_cells_and_without_one_nothing_is_limited(self):
        code = "import resource\nsoft, hard = resource.getrlimit(resource.RLIMIT_DATA)\nsoft == hard"
        self.assertEqual(self.value(code, memory=LIMIT), "False")
        self.assertEqual(self.value(code), "True")
        self.assertEqual(self.value("len(bytearray(400 << 20))"), str(400 << 20))

    def test_a_large_request_is_read_whatever_the_limit_of_the_last_cell_was(self):
        self.error("x = []\nwhile True: x.append(bytearray(1 << 16))", memory=LIMIT)
        self.assertEqual(self.value("'" + "y" * (7 << 20) + "'; 1"), "1")
        self.run_cell("del x")

    def test_many_threads_fit_into_the_limit(self):
        code = ("import threading\ne = threading.Event()\nts = [threading.Thread(target=e.wait) for _ in range(50)]\n"
                "[t.start() for t in ts]; e.set(); [t.join() for t in ts]\n'done'")
        self.assertEqual(self.value(code, memory=LIMIT), "'done'")
