"""Modules of the workspace and of the runtime, by every way of importing them, in both languages."""

from .support import DriverTest, on_both


@on_both
class Modules:
    def setUp(self):
        super().setUp()
        self.write("esm.mjs", "export const k = 7; export default 'd'")
        self.write("cjs.cjs", "exports.z = 9")
        self.write("types.ts", "export interface T { a: number }\nexport const t: number = 8")
        self.write("data.json", '{"j": 1}')
        self.write("node_modules/pkg/package.json", '{"name": "pkg", "version": "1.0.0", "main": "m.js"}')
        self.write("node_modules/pkg/m.js", "module.exports = { p: 'pkg' }")

    def test_static_imports(self):
        for language in ("javascript", "typescript"):
            with self.subTest(language):
                code = ("import d, { k as renamed } from './esm.mjs'\nimport * as path from 'node:path'\n"
                        "import { readFileSync } from 'fs'\nimport './cjs.cjs'\nimport data from './data.json' with { type: 'json' }\n"
                        "[d, renamed, typeof path.join, typeof readFileSync, data.j].join()")
                self.assertEqual(self.value(code, language), "'d,7,function,function,1'")

    def test_dynamic_imports_and_require(self):
        for language in ("javascript", "typescript"):
            with self.subTest(language):
                self.assertEqual(self.value("(await import('./esm.mjs')).k + require('./cjs.cjs').z", language), "16")
                self.assertEqual(self.value("require('pkg').p + (await import('pkg')).default.p", language), "'pkgpkg'")

    def test_typescript_files_and_names_of_types_can_be_imported(self):
        self.assertEqual(self.value("import { T, t } from './types.ts'\nconst v: T = { a: t }; v.a", "typescript"), "8")

    def test_an_import_in_a_cell_with_an_enum_is_kept_for_later_cells(self):
        self.ok("import def, { k, type Q } from './esm.mjs'\nimport * as all from './esm.mjs'\n"
                "enum Color { Red, Green }", "typescript")
        self.assertEqual(self.value("[def, k, all.k, Color.Green].join()", "typescript"), "'d,7,7,1'")

    def test_typescript_that_makes_code_works(self):
        code = ("namespace N { export const x = 1 }\n"
                "class P { constructor(public y: number, private z = 3) {} sum() { return this.y + this.z } }\n"
                "N.x + new P(2).sum()")
        self.assertEqual(self.value(code, "typescript"), "6")

    def test_a_missing_name_or_module_is_said(self):
        self.assertIn("does not provide an export named 'nope'", self.fails("import { nope } from './esm.mjs'")["message"])
        self.assertIn("missing.mjs", self.fails("import './missing.mjs'")["message"])
        self.assertIn("lodash", self.fails("import _ from 'lodash'")["message"])
        self.assertIn("lodash", self.fails("require('lodash')")["message"])

    def test_a_cell_is_the_main_program_in_the_workspace(self):
        for fact in ("require.main === module", "import.meta.main", "__dirname === process.cwd()",
                     "import.meta.dirname === __dirname"):
            self.assertEqual(self.value(fact), "true", fact)

    def test_export_statements_are_declarations(self):
        self.ok("export const a = 1; export function f() { return 2 } export class C {} export { a as b }")
        self.assertEqual(self.value("a + f() + typeof C"), "'3function'")
        self.assertEqual(self.value("export default { z: 1 }"), "{ z: 1 }")


class ModulesNode(DriverTest):
    runtime = "nodejs"

    def test_packages_with_only_an_import_condition_are_found(self):
        self.write("node_modules/only/package.json", '{"name": "only", "type": "module", "exports": {"import": "./i.js"}}')
        self.write("node_modules/only/i.js", "export const o = 1")
        self.assertEqual(self.value("import { o } from 'only'\no"), "1")


class ModulesDeno(DriverTest):
    runtime = "deno"

    def test_a_download_that_fails_says_that_the_network_may_be_denied(self):
        # Nothing listens on this port of the loopback device.
        error = self.fails("await import('http://127.0.0.1:9/x.js')")
        self.assertIn("needs network", error["message"])

    def test_the_deno_api_is_there(self):
        self.ok("await Deno.writeTextFile('f.txt', 'hi')")
        self.assertEqual(self.value("const t: string = await Deno.readTextFile('f.txt'); t", "typescript"), "'hi'")
        self.assertEqual(self.run_cell("Deno.exit(9)").done["exit_code"], 9)

    def test_questions_to_the_user_are_answered_at_once_and_the_reason_is_told(self):
        reply = self.ok("[prompt('name?'), confirm('sure?')]")
        self.assertEqual(reply.value, "[ null, false ]")
        self.assertIn("no standard input", reply.err)
        self.assertIn("no standard input", self.fails("Deno.stdin.readSync(new Uint8Array(1))")["message"])
