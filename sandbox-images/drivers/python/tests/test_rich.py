"""Rich forms: objects with display methods, tables, figures, pictures."""

import json
import os

from .support import PYTHON, DriverTest, needs

PNG = b"\x89PNG\r\n\x1a\n"


class DisplayMethods(DriverTest):
    def test_every_display_method_is_asked(self):
        forms = self.run_cell("""
import base64
class All:
    def _repr_html_(self): return '<b>ü</b>'
    def _repr_markdown_(self): return '*m*', {'meta': 1}
    def _repr_svg_(self): return '<svg/>'
    def _repr_png_(self): return base64.b64encode(b'png').decode()
    def _repr_jpeg_(self): return b'jpeg'
    def _repr_latex_(self): return '$x$'
    def _repr_json_(self): return {'a': 1}
    def _repr_mimebundle_(self, include=None, exclude=None): return {'text/x-mine': 'bundle', 'bad mime': 'x'}, {}
    def __repr__(self): return 'all'
All()""").value_forms
        self.assertEqual(forms.pop("application/json"), b'{"a": 1}')
        self.assertEqual(forms, {"text/x-mine": b"bundle", "text/html": "<b>ü</b>".encode(), "text/markdown": b"*m*",
                                 "image/svg+xml": b"<svg/>", "image/png": b"png", "text/latex": b"$x$",
                                 "text/plain": b"all"})

    def test_a_display_method_that_raises_is_said_and_the_rest_is_shown(self):
        reply = self.run_cell("class A:\n    def _repr_html_(self): 1 / 0\n    def __repr__(self): return 'a'\nA()")
        self.assertEqual(reply.value_forms, {"text/plain": b"a"})
        self.assertIn("A._repr_html_() raised ZeroDivisionError", reply.err)

    def test_classes_and_objects_that_answer_anything_are_shown_as_text(self):
        code = "class A:\n    def _repr_html_(self): return 'x'\nA"
        self.assertEqual(set(self.run_cell(code).value_forms), {"text/plain"})
        self.assertEqual(set(self.run_cell("from unittest.mock import MagicMock\nMagicMock()").value_forms), {"text/plain"})

    def test_display_shows_several_values_and_bundles(self):
        reply = self.run_cell("display(1, 'two')\ndisplay({'text/html': '<i>'}, raw=True)")
        self.assertEqual(reply.displays[:2], [{"text/plain": b"1"}, {"text/plain": b"'two'"}])
        self.assertEqual(reply.displays[2]["text/html"], b"<i>")

    def test_order_of_frames_is_the_order_of_the_cell(self):
        self.assertEqual([f["ev"] for f in self.run_cell("display(1)\ndisplay(2)\n3").frames],
                         ["display", "display", "value", "done"])


@needs("pandas")
class Tables(DriverTest):
    def test_a_data_frame_comes_as_text_html_and_its_first_50_rows_as_json(self):
        forms = self.run_cell("import pandas as pd\ndf = pd.DataFrame({'x': range(100), 'y': [0.1] * 100})\ndf").value_forms
        self.assertEqual(set(forms), {"text/plain", "text/html", "application/json"})
        self.assertIn(b"<table", forms["text/html"])
        data = json.loads(forms["application/json"])
        self.assertEqual((data["columns"], len(data["data"]), data["data"][3]), (["x", "y"], 50, [3, 0.1]))
        self.assertEqual(set(self.run_cell("df.x").value_forms), {"text/plain", "text/html", "application/json"})

    def test_a_table_that_json_cannot_say_is_still_shown(self):
        forms = self.run_cell("import pandas as pd\npd.DataFrame([[1, 2]], columns=['a', 'a'])").value_forms
        self.assertIn(b"a", forms["text/plain"])

    def test_warm_runs_pandas_once_it_is_loaded(self):
        self.run_cell("import pandas as pd")
        self.assertEqual(self.driver.warm().frames[-1]["ev"], "warmed")


@needs("matplotlib", "pandas")
class Figures(DriverTest):
    def setUp(self):
        super().setUp()
        self.run_cell("import matplotlib.pyplot as plt")

    def test_the_main_job_prints_its_table_and_shows_its_chart(self):
        reply = self.run_cell("import pandas as pd, matplotlib.pyplot as plt; df = pd.DataFrame({'x':[1,2,3,4,5],"
                              "'y':[2,4,6,8,10]}); plt.plot(df['x'], df['y']); plt.savefig('output.png'); "
                              "print(df.describe())")
        self.assertIn("mean   3.000000   6.000000", reply.out)
        self.assertEqual(reply.err, "")
        self.assertTrue(reply.displays[0]["image/png"].startswith(PNG))
        self.assertEqual(reply.displays[0]["text/plain"], b"<Figure size 640x480 with 1 Axes>")
        self.assertTrue(os.path.exists(os.path.join(self.workspace, "output.png")))

    def test_open_figures_are_shown_once_and_closed(self):
        self.assertEqual(len(self.run_cell("plt.plot([1]); plt.figure(); plt.plot([2]);").displays), 2)
        self.assertEqual(self.run_cell("1").displays, [])
        self.assertEqual(self.value("plt.get_fignums()"), "[]")

    def test_figures_that_the_guest_closed_and_empty_ones_are_not_shown(self):
        self.assertEqual(self.run_cell("plt.plot([1]); plt.savefig('a.png'); plt.close()").displays, [])
        self.assertEqual(self.run_cell("plt.figure();").displays, [])

    def test_show_displays_at_that_point_and_warns_of_nothing(self):
        reply = self.run_cell("plt.plot([1])\nplt.show()\ndisplay('after')\nfrom matplotlib.pyplot import show\n"
                              "plt.plot([2]); show(block=True)\nfig, ax = plt.subplots(); ax.plot([3]); fig.show()")
        self.assertEqual(["image/png" in forms for forms in reply.displays], [True, False, True, True])
        self.assertEqual(reply.err, "")

    def test_a_figure_as_value_is_shown_once(self):
        reply = self.run_cell("fig, ax = plt.subplots(); ax.plot([1])\nfig")
        self.assertTrue(reply.value_forms["image/png"].startswith(PNG))
        self.assertEqual(reply.displays, [])
        self.assertEqual(len(self.run_cell("fig, ax = plt.subplots(); ax.plot([1]); display(fig)").displays), 1)

    def test_a_figure_that_cannot_be_drawn_is_an_error_and_is_gone(self):
        self.assertEqual(self.error("plt.plot([1]); plt.title(r'$\\frac{$');")["name"], "ValueError")
        self.assertEqual(self.run_cell("1").displays, [])

    def test_figures_are_shown_before_the_error_that_ended_the_cell(self):
        reply = self.run_cell("plt.plot([1])\n1 / 0", status="error")
        self.assertEqual([f["ev"] for f in reply.frames], ["display", "error", "done"])

    def test_clear_closes_figures_and_resets_styles(self):
        self.run_cell("plt.rcParams['font.size'] = 30")
        self.assertEqual(self.value("import matplotlib as m\n(m.rcParams['font.size'], m.get_backend().lower())", clear=True),
                         "(10.0, 'agg')")

    def test_programs_that_a_cell_starts_draw_without_a_window_too(self):
        code = (f"import subprocess\nprint(subprocess.run([{PYTHON!r}, '-c', 'import matplotlib.pyplot as p; p.plot([1]); "
                "print(p.get_backend())'], capture_output=True, text=True))")
        self.assertIn("agg", self.run_cell(code).out.lower())


@needs("PIL")
class Pictures(DriverTest):
    def test_a_picture_is_shown_as_png(self):
        forms = self.run_cell("from PIL import Image\nImage.new('RGB', (3, 3))").value_forms
        self.assertEqual(set(forms), {"image/png", "text/plain"})
