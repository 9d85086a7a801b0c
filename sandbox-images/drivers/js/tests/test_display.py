"""Values and displays in their MIME forms."""

from .support import on_both

PNG = "new Uint8Array([137, 80, 78, 71, 0, 255])"


@on_both
class Display:
    def test_bytes_and_base64_become_the_same_binary_form(self):
        reply = self.ok(f"display({{'image/png': {PNG}}}); display({{'image/png': 'iVBORwD/', 'text/plain': 'a picture'}})")
        first, second = reply.displays
        self.assertEqual(first["image/png"], b"\x89PNG\x00\xff")
        self.assertEqual(first["image/png"], second["image/png"])
        self.assertEqual((first["text/plain"], second["text/plain"]), (b"<image/png>", b"a picture"))

    def test_a_value_may_bring_its_own_forms_and_promise_them(self):
        code = ("const own = (t, wait) => ({ [Symbol.for('Jupyter.display')]: () => {\n"
                "  const b = { 'text/html': t }; return wait ? Promise.resolve(b) : b } })\n"
                "display(own('1', true)); display(own('2')); display(3); own('4', true)")
        reply = self.ok(code)
        self.assertEqual([d.get("text/html", d["text/plain"]) for d in reply.displays], [b"1", b"2", b"3"])
        self.assertEqual(reply.value_forms["text/html"], b"4")
        self.assertEqual([f["ev"] for f in reply.frames], ["display", "display", "display", "value", "done"])

    def test_data_has_a_json_form_and_other_values_have_not(self):
        self.assertEqual(self.ok("({a: [1, 'x', null]})").value_forms["application/json"], b'{"a":[1,"x",null]}')
        for code in ("new Map([[1, 2]])", "const o = {}; o.o = o; o", "[1n]", "class A { x = 1 }; new A()", "'text'", "null"):
            self.assertEqual(list(self.ok(code).value_forms), ["text/plain"], code)

    def test_a_display_is_what_the_value_was_when_it_was_shown(self):
        self.assertEqual(self.ok("const list = [1]; display(list); list.push(2); undefined").displays[0]["text/plain"], b"[ 1 ]")

    def test_what_is_too_large_is_left_out_and_told(self):
        reply = self.ok("display({'image/png': new Uint8Array(5000), 'text/plain': 'big'})", display=1000)
        self.assertEqual(list(reply.displays[0]), ["text/plain"])
        self.assertRegex(reply.displays[0]["text/plain"].decode(), "^big\n.image/png left out: it has 5000 bytes")

    def test_nothing_is_shown_for_what_is_not_a_last_bare_expression(self):
        for code in ("undefined", "let x = 1", "for (let i = 0; i < 3; i++) i", "if (1) 5", "function f() {}",
                     "// only a comment", ""):
            self.assertIsNone(self.value(code), code)
