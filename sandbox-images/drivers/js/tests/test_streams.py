"""Output reaches the descriptors in order and at once; nothing of the channel leaks to child processes."""

from .support import DriverGone, on_both


@on_both
class Streams:
    def test_output_of_the_cell_and_of_its_children_is_in_order(self):
        code = ("const { execSync } = require('node:child_process'); console.log('a'); execSync('echo b', { stdio: 'inherit' });\n"
                "process.stdout.write('c\\n'); execSync('echo d', { stdio: 'inherit' }); process.stdout.write('no line end'); undefined")
        self.assertEqual(self.ok(code).out, "a\nb\nc\nd\nno line end")

    def test_a_lot_of_output_is_whole(self):
        self.assertEqual(len(self.ok("for (let i = 0; i < 3000; i++) console.log('x'.repeat(999))").out), 3_000_000)

    def test_output_after_a_child_made_the_pipe_non_blocking_is_whole(self):
        code = ("require('node:child_process').execFileSync('python3', ['-c', 'import os; os.set_blocking(1, False)'], { stdio: 'inherit' });\n"
                "console.log('y'.repeat(2_000_000))")
        self.assertEqual(len(self.ok(code).out), 2_000_001)

    def test_children_inherit_neither_descriptors_nor_variables(self):
        code = "require('node:child_process').execSync('readlink /proc/self/fd/*; env').toString()"
        seen = self.ok(f"console.log({code})").out
        self.assertNotIn("CLOISTER_CELL_FD", seen)
        self.assertNotIn("CLOISTER_INTERRUPT_FD", seen)
        self.ok("globalThis.own = [process.env.CLOISTER_CELL_FD, process.env.CLOISTER_INTERRUPT_FD]")
        self.assertEqual(self.value("own"), "[ undefined, undefined ]")
        count = "require('node:child_process').execSync('ls /proc/self/fd', { stdio: ['ignore', 'pipe', 'inherit'] }).toString()"
        self.assertEqual(self.ok(f"process.stdout.write({count}); undefined").out, "0\n1\n2\n3\n")
        self.assertEqual(self.ok(f"process.stdout.write({count}); undefined", clear=True).out, "0\n1\n2\n3\n")

    def test_reading_stdin_fails_with_a_sentence_each_time(self):
        question = "const rl = require('node:readline').createInterface({ input: process.stdin }); await new Promise(r => rl.question('?', r))"
        for code in ("process.stdin.on('data', () => {}); await new Promise(() => {})", question, question):
            self.assertIn("no standard input", self.fails(code)["message"])

    def test_a_closed_stdout_still_works_in_the_next_cell(self):
        self.ok("process.stdout.end('bye'); process.stdout.destroy(); undefined")
        self.assertEqual(self.ok("console.log('back')").out, "back\n")

    def test_the_driver_leaves_with_the_channel_and_with_status_2_on_what_is_no_frame(self):
        self.ok("setInterval(() => {}, 1000); undefined")
        self.assertEqual(self.driver.close(), 0)
        self.setUp()
        self.driver.send_bytes(b"\xff" * 8)
        self.assertEqual(self.driver.wait_gone().status, 2)
        self.setUp()
        self.driver.send({"op": "unheard"})
        self.assertEqual(self.driver.wait_gone().status, 2)

    def test_a_runtime_that_kills_itself_is_seen_by_its_status(self):
        with self.assertRaises(DriverGone) as caught:
            self.run_cell("process.kill(process.pid, 'SIGKILL'); await new Promise(() => {})")
        self.assertEqual(caught.exception.status, -9)

    def test_a_frame_that_comes_in_pieces_is_one_request(self):
        code = b"'" + b"z" * 300_000 + b"'.length"
        self.assertEqual(self.ok(code).value, "300000")
