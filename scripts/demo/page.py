"""A page on this machine's loopback for the demo's browser: a form, and what was sent with it. Started by scripts/demo.sh.

    page.py FILE     writes its port to FILE, then serves until it is ended
"""

import html
import http.server
import os
import pathlib
import sys
import urllib.parse

STYLE = """<style>
body { font: 22px/1.5 sans-serif; margin: 0; background: #f4f1ea; color: #222 }
main { max-width: 44rem; margin: 6rem auto; padding: 3rem; background: #fff; border-top: 8px solid #3d5a80 }
label { display: block; margin-top: 1.2rem } input, textarea, select { width: 100%; font: inherit; padding: .4rem }
button { margin-top: 1.6rem; padding: .5rem 2rem; font: inherit; background: #3d5a80; color: #fff; border: 0 }
dt { color: #666 } dd { margin: 0 0 1rem; font-size: 28px }
</style>"""

FORM = """<h1>Guest book</h1>
<form method="post" action="/thanks" accept-charset="utf-8">
<label>Name <input name="name" id="name"></label>
<label>From <select name="from" id="from"><option>Here</option><option>Elsewhere</option></select></label>
<label>Message <textarea name="message" id="message" rows="3"></textarea></label>
<button id="send">Send</button></form>"""


def page(body: str) -> bytes:
    return f"<!doctype html><meta charset=utf-8><title>Guest book</title>{STYLE}<main>{body}</main>".encode()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(page(FORM))

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        fields = urllib.parse.parse_qsl(sent.decode(), keep_blank_values=True)
        rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in fields)
        self.answer(page(f"<h1>Thank you</h1><dl id=sent>{rows}</dl>"))

    def answer(self, body: bytes):
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main(file: pathlib.Path) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    # Whoever waits for the file sees all of it or nothing.
    temporary = file.with_suffix(".new")
    temporary.write_text(f"{server.server_port}\n")
    os.replace(temporary, file)
    server.serve_forever()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
