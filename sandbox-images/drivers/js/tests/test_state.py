"""Names live from cell to cell, as in a notebook."""

from .support import on_both


@on_both
class State:
    def test_every_kind_of_declaration_is_seen_by_the_next_cell(self):
        self.ok("const a = 1; let [b, {c: d = 4}] = [2, {}]; var e = 5; class F { v = 6 }; function g() { return 7 }")
        self.assertEqual(self.value("[a, b, d, e, new F().v, g()].join()"), "'1,2,4,5,6,7'")

    def test_a_name_may_be_declared_again_in_any_way(self):
        ways = ["const n = 0", "let n = 1", "var n = 2", "function n() {}", "class n {}", "import n from 'node:fs'",
                "const { n } = { n: 3 }", "function n() { return 4 }", "let n = 5; n"]
        for way in ways:
            self.ok(way)
        self.assertEqual(self.value("n"), "5")

    def test_a_function_sees_the_current_value_of_a_name_and_a_new_definition_of_its_callee(self):
        self.ok("let x = 1; function twice() { return 2 * x } function both() { return [x, twice()].join() }")
        self.ok("x = 10; function twice() { return 'new' }")
        self.assertEqual(self.value("both()"), "'10,new'")

    def test_functions_are_hoisted_above_their_cell(self):
        self.assertEqual(self.value("const r = early(); function early() { return 'yes' }\nr"), "'yes'")

    def test_names_that_the_runtime_defines_as_getters_can_be_declared(self):
        self.assertEqual(self.value("const navigator = 1, crypto = 2, name = 3; navigator + crypto + name"), "6")

    def test_javascript_and_typescript_share_names(self):
        self.ok("let n = 20")
        self.ok("interface P { n: number }\nconst p: P = { n: n + 1 }; enum E { A = 5, B }", "typescript")
        self.assertEqual(self.value("p.n + E.B"), "27")

    def test_loops_blocks_and_labels_keep_their_meaning(self):
        self.assertEqual(self.value("for (var i = 0, s = 0; i < 3; i++) s += i\ns + i"), "6")
        self.assertEqual(self.value("let out = []; for (var [k, v] of [[1, 2]]) out.push(k + v)\nif (1) var y = 4\nout[0] + y"), "7")
        self.assertEqual(self.value("let n = 0; outer: for (const a of [1, 2]) { for (;;) { n++; continue outer } }\nn"), "2")
        self.assertEqual(self.value("const fs = []; for (let i = 0; i < 3; i++) fs.push(() => i)\nfs.map(f => f()).join()"), "'0,1,2'")

    def test_a_line_without_semicolon_is_not_joined_with_a_rewritten_one(self):
        self.assertEqual(self.value("let foo = 1\nfoo\nawait 2\nimport('node:fs')\nconst [q] = [3]\nq"), "3")

    def test_clear_forgets_every_name_and_what_was_overwritten(self):
        self.ok("let a = 1; var b = 2; function c() {} class D {} globalThis.e = 3; const fetch = 4; await 0")
        reply = self.ok("[typeof a, typeof b, typeof c, typeof D, typeof e, typeof fetch].join()", clear=True)
        self.assertEqual(reply.value, "'undefined,undefined,undefined,undefined,undefined,function'")
        self.assertEqual(self.value("display(1); typeof require"), "'function'")
        self.interrupted("while (true);")

    def test_clear_reads_common_js_files_again(self):
        self.write("m.cjs", "module.exports = 1")
        self.assertEqual(self.value("require('./m.cjs')"), "1")
        self.write("m.cjs", "module.exports = 2")
        self.assertEqual(self.ok("require('./m.cjs')", clear=True).value, "2")

    def test_a_timer_works_between_and_in_later_cells_and_does_not_delay_its_own(self):
        self.ok("let n = 0; const timer = setInterval(() => n++, 5); undefined")
        self.assertEqual(self.value("await new Promise(r => setTimeout(r, 100)); clearInterval(timer); n > 3"), "true")

    def test_a_promise_as_last_line_is_waited_for(self):
        reply = self.ok("async function main() { await 0; console.log('in main'); return [1] }\nmain()")
        self.assertEqual((reply.out, reply.value_forms["application/json"]), ("in main\n", b"[1]"))

    def test_the_source_of_a_function_runs_where_there_is_no_driver(self):
        code = "const f = async () => { for (const x of [1]) await x; return 8 }\nawait new Function(`return (${f})()`)()"
        self.assertEqual(self.value(code), "8")
        self.assertEqual(self.value("String(f).includes('__cell')"), "true")
        worker = ("const { Worker: W } = require('node:worker_threads');\n"
                  "const w = new W(`(${f})().then(v => require('node:worker_threads').parentPort.postMessage(v))`, { eval: true });\n"
                  "await new Promise((r, e) => { w.on('message', r); w.on('error', e) })")
        self.assertEqual(self.value(worker), "8")
