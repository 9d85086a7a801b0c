"""Names, values and compilation: what a notebook does with a cell."""

import json
import unittest

from .support import DriverTest


class Values(DriverTest):
    def test_names_live_from_cell_to_cell(self):
        self.run_cell("x = 20")
        self.assertEqual(self.value("x + 1"), "21")

    def test_only_a_last_bare_expression_is_a_value(self):
        self.assertIsNone(self.value("1\nx = 2"))
        self.assertIsNone(self.value("None"))
        self.assertIsNone(self.value(""))
        self.assertIsNone(self.value("# nothing"))
        self.assertEqual(self.value("1; 'ü'"), "'ü'")

    def test_a_trailing_semicolon_suppresses_the_value(self):
        self.assertIsNone(self.value("5;"))
        self.assertIsNone(self.value("(\n5)  ;  # why"))
        self.assertIsNone(self.value("'äöü';"))
        self.assertEqual(self.value("';'"), "';'")
        self.assertEqual(self.value("5  # ;"), "5")

    def test_underscore_is_the_last_value_unless_the_guest_took_the_name(self):
        self.run_cell("41")
        self.assertEqual(self.value("_ + 1"), "42")
        self.run_cell("_ = 'mine'")
        self.run_cell("1")
        self.assertEqual(self.value("_"), "'mine'")

    def test_main_is_a_real_module(self):
        code = ("from dataclasses import dataclass\nimport pickle, sys\n@dataclass\nclass P:\n    a: int\n"
                "(pickle.loads(pickle.dumps(P(3))), sys.modules['__main__'].P is P, __name__)")
        self.assertEqual(self.value(code), "(P(a=3), True, '__main__')")

    def test_await_works_at_top_level_and_tasks_live_on(self):
        self.run_cell("import asyncio\nseen = []\nasync def later():\n    await asyncio.sleep(0.01)\n    seen.append(1)")
        self.run_cell("task = asyncio.create_task(later())\nawait asyncio.sleep(0)")
        self.assertEqual(self.value("await task\nseen"), "[1]")
        self.assertEqual(self.value("asyncio.run(asyncio.sleep(0, 'own loop'))"), "'own loop'")
        self.assertEqual(self.value("await asyncio.sleep(0, 'ours again')"), "'ours again'")

    def test_future_imports_hold_for_later_cells(self):
        self.run_cell("from __future__ import annotations")
        self.assertEqual(self.value("def f(x: nowhere): pass\nf.__annotations__"), "{'x': 'nowhere'}")
        self.assertEqual(self.error("def f(x: nowhere): pass", clear=True)["name"], "NameError")

    def test_source_of_a_cell_can_be_read_back(self):
        self.run_cell("def f():\n    return 'here'")
        self.assertIn("return 'here'", self.value("import inspect\nprint(inspect.getsource(f))\ninspect.getsource(f)"))

    def test_windows_line_ends_and_a_byte_order_mark_are_accepted(self):
        self.assertEqual(self.value(b"\xef\xbb\xbfx = 1\r\nx;\r\nx"), "1")

    def test_a_syntax_error_runs_nothing(self):
        self.run_cell("x = 'before'")
        self.assertEqual(self.error("x = 'after'\nreturn x")["name"], "SyntaxError")
        self.assertEqual(self.error("x = 'after'\n1 +")["name"], "SyntaxError")
        self.assertEqual(self.value("x"), "'before'")

    def test_code_that_is_not_utf8_or_has_null_bytes_is_an_error_of_the_cell(self):
        self.assertEqual(self.error(b"x = '\xff'")["name"], "UnicodeDecodeError")
        self.assertIn(self.error(b"x = '\0'")["name"], ("ValueError", "SyntaxError"))

    def test_the_display_hook_of_the_guest_is_used(self):
        reply = self.run_cell("import sys\nsys.displayhook = lambda v: print('hook', v)\n7")
        self.assertEqual((reply.value, reply.out), (None, "hook 7\n"))
        self.assertEqual(self.value("7", clear=True), "7")


class Clear(DriverTest):
    def test_clear_starts_from_an_empty_context(self):
        self.run_cell("import os, sys, builtins\nx = 1\nos.environ['NEW'] = '1'\nos.chdir('/')\nsys.path.append('/nowhere')\n"
                      "builtins.leftover = 1\ndel os.environ['HOME']\nsys.setrecursionlimit(2000)\n5")
        self.assertEqual(self.error("x", clear=True)["name"], "NameError")
        self.assertEqual(self.value("import os, sys\n(os.getcwd(), 'NEW' in os.environ, 'HOME' in os.environ,"
                                    " '/nowhere' in sys.path, sys.getrecursionlimit())"),
                         str((self.workspace, False, True, False, 1000)))
        self.assertEqual(self.error("leftover")["name"], "NameError")
        self.assertEqual(self.error("_", clear=True)["name"], "NameError")

    def test_clear_forgets_modules_of_the_workspace_and_keeps_the_library(self):
        self.run_cell("open('mine.py', 'w').write('n = 1')\nimport mine, json\nmine.n = 2")
        self.assertEqual(self.value("import sys\n('mine' in sys.modules, 'json' in sys.modules)", clear=True),
                         "(False, True)")
        self.assertEqual(self.value("import mine\nmine.n"), "1")


class Texts(DriverTest):
    def test_a_repr_that_raises_is_contained(self):
        self.assertEqual(self.value("class A:\n    def __repr__(self): raise ValueError('no')\nA()"),
                         "<A object; its repr() raised ValueError: no>")
        self.assertIn("SystemExit", self.value("class A:\n    def __repr__(self): raise SystemExit\nA()"))

    def test_a_gigantic_value_costs_the_limit_and_says_that_it_was_cut(self):
        for code in ("list(range(10**7))", "'x' * 10**7", "{i: [i] for i in range(10**6)}", "b'x' * 10**7",
                     "class A:\n    def __repr__(self): return 'y' * 10**7\nA()"):
            with self.subTest(code):
                text = self.value(code, display=100_000)
                self.assertLessEqual(len(text.encode()), 100_000)
                self.assertGreater(len(text), 90_000)
                self.assertIn("[cut here: a display may have at most 100,000 bytes]", text)

    def test_the_bounded_text_is_what_repr_says(self):
        code = ("x = {'a': [1, (2,), (), {3}, set(), {}], 'b': 'q' * 5000, 'c': list(range(20000))}\nx['me'] = x\n"
                "l = x['c']; l.append(l)\nx")
        text = self.value(code)
        self.assertEqual(self.run_cell("print(repr(x), end='')").out, text)

    def test_deep_and_self_containing_values_are_contained(self):
        self.assertIn("RecursionError", self.value("x = []\nfor _ in range(10**5): x = [x]\nx"))
        self.assertEqual(self.value("x = []; x.append(x)\nx"), "[[...]]")

    def test_a_dict_or_list_that_json_can_say_comes_as_json_too(self):
        forms = self.run_cell("{'a': [1, 2.5, None, True, 'ü']}").value_forms
        self.assertEqual(json.loads(forms["application/json"]), {"a": [1, 2.5, None, True, "ü"]})
        for code in ("{1: 2}", "[float('nan')]", "[object]", "(1, 2)", "['\\ud800']", "x = []; x.append(x)\nx"):
            with self.subTest(code):
                self.assertNotIn("application/json", self.run_cell(code).value_forms)


if __name__ == "__main__":
    unittest.main()
