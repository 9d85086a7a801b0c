"""What a failing cell says, and that it leaves the runtime alive."""

from .support import on_both


@on_both
class Errors:
    def test_an_error_names_the_cell_the_line_and_no_frame_of_the_driver(self):
        self.ok("1")
        error = self.fails("function f() {\n  null.x\n}\n\nf()")
        self.assertEqual(error["name"], "TypeError")
        self.assertIn("<cell 2>:2\n  null.x\n", error["traceback"])
        self.assertIn("at f (<cell 2>:2)\n    at <cell 2>:5\n", error["traceback"])
        for own in ("session.mjs", "evaluate.mjs", "inspector", "__cell"):
            self.assertNotIn(own, error["traceback"])

    def test_a_stack_that_the_cell_prints_has_no_frame_of_the_driver(self):
        stack = self.ok("function f() { return new Error('e').stack }\nconsole.log(f())").out
        self.assertEqual(stack, "Error: e\n    at f (<cell 1>:1)\n    at <cell 1>:2\n")

    def test_the_cause_is_shown(self):
        self.assertIn("[cause]: Error: why", self.fails("throw new Error('a', { cause: new Error('why') })")["traceback"])

    def test_a_syntax_error_shows_the_place_and_runs_nothing(self):
        for language, code in (("javascript", "globalThis.ran = 1\nlet a b"),
                               ("typescript", "globalThis.ran = 1\nlet a: number b")):
            with self.subTest(language):
                error = self.fails(code, language)
                self.assertEqual(error["name"], "SyntaxError")
                self.assertRegex(error["traceback"], r"<cell \d+>:2\nlet a.* b\n +\^\n")
                self.assertEqual(self.value("typeof ran"), "'undefined'")

    def test_an_unhandled_rejection_fails_the_cell_that_made_it(self):
        self.assertEqual(self.fails("Promise.reject(new RangeError('lost')); 1")["name"], "RangeError")

    def test_an_error_in_a_callback_ends_the_cell_that_waits(self):
        error = self.fails("setTimeout(() => { throw new Error('late') }, 5); await new Promise(() => {})")
        self.assertEqual(error["message"], "late")
        self.assertEqual(self.value("1"), "1")

    def test_an_error_between_cells_is_told_on_stderr_and_the_driver_lives(self):
        self.ok("setTimeout(() => { throw new Error('timer') }, 20)\n"
                "setTimeout(() => Promise.reject(new Error('promise')), 20); undefined")
        late = self.driver.read_late(0.4)
        self.assertIn("Error: timer", late.err)
        self.assertIn("Error: promise", late.err)
        self.assertEqual(self.value("1"), "1")

    def test_whatever_is_thrown_is_an_error_frame(self):
        for thrown in ("'text'", "null", "undefined", "{a: 1}", "Symbol('s')", "Object.create(null)",
                       "new Proxy({}, {get() { throw 1 }, ownKeys() { throw 2 }})",
                       "Object.defineProperty(new Error(), 'name', {get() { throw 3 }})"):
            with self.subTest(thrown):
                self.assertTrue(self.fails(f"throw {thrown}")["name"])

    def test_a_huge_error_fits_into_a_frame(self):
        error = self.fails("throw new Error('y'.repeat(3e6))")
        self.assertLess(len(error["message"]), 1 << 16)
        self.assertLess(len(error["traceback"]), 1 << 20)

    def test_exit_ends_the_cell_also_from_a_callback_and_under_a_catch_and_keeps_the_state(self):
        self.ok("let kept = 1")
        for code, expected in (("process.exit(3); console.log('no')", 3), ("try { process.exit(4) } catch {}", 4),
                               ("setTimeout(() => process.exit(5), 5); await new Promise(() => {})", 5),
                               ("async function f() { await 0; process.exit(6) }\nawait f()", 6),
                               ("process.exitCode = 7", 7), ("process.exit(-1)", 255)):
            with self.subTest(code):
                reply = self.run_cell(code)
                self.assertEqual((reply.status, reply.done["exit_code"], reply.out), ("exit", expected, ""))
        self.assertEqual(self.value("kept"), "1")

    def test_exit_after_the_end_of_its_cell_is_ignored(self):
        self.ok("setTimeout(() => process.exit(5), 10); undefined")
        self.assertIn("exit(5) is ignored", self.driver.read_late().err)
        self.assertEqual(self.value("1"), "1")

    def test_a_value_that_cannot_be_shown_is_the_error_of_its_cell(self):
        error = self.fails("({ [Symbol.for('Jupyter.display')]() { throw new Error('no form') } })")
        self.assertEqual(error["message"], "no form")
        self.assertEqual(self.value("1"), "1")
