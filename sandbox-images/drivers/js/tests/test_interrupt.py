"""An interrupt ends the running cell, keeps the state, and hits nothing else."""

import time

from .support import DriverTest, on_both

# An object that can never be shown.
ENDLESS = ("{ [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); },"
           " [Symbol.for('Deno.customInspect')]() { for (;;); } }")


@on_both
class Interrupt:
    def test_a_loop_ends_wherever_it_runs(self):
        self.ok("let kept = 1; function spin() { for (;;); }")
        for code in ("while (true) {}", "do {} while (true)", "spin()", "await 0; while (true);",
                     "setTimeout(() => { while (true); }, 5); await new Promise(() => {})",
                     "while (true) { try { while (true); } catch {} }",
                     "let n = 0; while (true) n = (n + 1) % 1000",
                     f"({ENDLESS})"):
            with self.subTest(code):
                self.interrupted(code)
        self.assertEqual(self.value("kept"), "1")

    def test_a_wait_ends_and_what_waited_does_not_run_on(self):
        self.ok("const sleep = (ms) => new Promise(r => setTimeout(r, ms));\n"
                "async function tick() { for (;;) { await sleep(10); console.log('t') } }\n"
                "async function* endless() { for (;;) { await sleep(10); yield 1 } }")
        for code in ("await tick()", "for await (const x of endless()) console.log(x)"):
            with self.subTest(code):
                self.assertTrue(self.interrupted(code).out)
                self.assertEqual(self.driver.read_late().out, "")

    def test_an_error_that_cannot_be_shown_in_time_is_still_reported(self):
        reply = self.run_cell(f"throw {ENDLESS}", interrupt_after=0.3)
        self.assertEqual((reply.status, reply.error["name"]), ("error", "Error"))
        self.assertEqual(self.value("1"), "1")

    def test_a_byte_between_cells_is_ignored(self):
        self.driver.interrupt()
        time.sleep(0.2)
        self.assertEqual(self.value("1"), "1")

    def test_a_byte_at_the_end_of_a_cell_does_not_hit_the_next(self):
        for _ in range(20):
            reply = self.run_cell("const end = Date.now() + 30; while (Date.now() < end); 1", interrupt_after=0.03)
            self.assertIn(reply.status, ("ok", "interrupted"))
            self.assertEqual(self.value("2"), "2")

    def test_many_interrupts_leave_the_runtime_usable(self):
        self.ok("1")
        for _ in range(15):
            self.interrupted("await new Promise(() => {})", after=0.1)
        self.assertEqual(self.value("const big = Array.from({ length: 1e5 }, (_, i) => ({ i })); big.length"), "100000")


class InterruptNode(DriverTest):
    runtime = "nodejs"

    def test_a_regular_expression_that_never_ends_is_interrupted(self):
        self.ok("let kept = 1")
        for _ in range(3):
            self.interrupted(r"/^(a+)+$/.test('a'.repeat(60) + 'b')")
        self.assertEqual(self.value("kept"), "1")
