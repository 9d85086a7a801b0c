"""A small web site on loopback, as people's tools have them: sign-in, tables, forms, downloads, and pages that misbehave.

`with Site() as site:` serves it on a free port; `site.received` is what was uploaded to it.
"""

import http.server
import threading
import urllib.parse

PASSWORD = "pässwörd 🔑"
ROWS = [(f"Größe {number}", number * 1.5) for number in range(1, 8)]
PER_PAGE = 3
REPORT = "a,b\n1,2\n"
SECTIONS, SECTION = 12, 300

LOGIN = """<title>Login</title><form method=post action=/login><label>Name <input name=user></label>
<label>Password <input type=password name=password></label>
<select name=role><option value=r>Leser<option value=w>Schreiberin</select><button>Sign in</button></form>"""
# `URL` alone is the document's address in an event handler's scope.
TABLE = """<title>Page {number}</title><p id=user>{user}</p>
<table><thead><tr><th>Name<th>Wert</thead><tbody>{rows}</table>{next}
<button id=csv onclick="const a = document.createElement('a'); a.download = 'größe.csv';
a.href = window.URL.createObjectURL(new Blob(['name;wert\\nGröße 1;1.5\\n'], {{type: 'text/csv'}})); a.click()">CSV</button>
<a id=report href=/report>Report</a>"""
MORE = """<title>More</title><a id=blank target=_blank href=/tab>new tab</a>
<iframe srcdoc="<p id=f>in the frame</p><button onclick='f.textContent = &quot;pressed&quot;'>framed</button>"></iframe>
<button id=ask onclick="document.title = 'asked ' + prompt('Wie heißt du?', 'x')">ask</button>
<button id=con onclick="document.title = 'confirmed ' + confirm('Sicher?')">con</button>"""
TALKATIVE = """<title>Talkative</title><script>console.log('hallo', {a: 1}); console.error('böse');
fetch('/missing').then(() => { document.title = 'fetched'; throw new Error('boom') })</script>"""
LONG = f"<title>Long</title><style>body{{margin:0}}div{{height:{SECTION}px;width:400px}}</style>" + "".join(
    f"<div id=s{number} style='background:hsl({number * 30},80%,60%)'>Abschnitt {number}</div>" for number in range(SECTIONS)
)
# Ten red pixels at the right edge of a page that is scrolled.
EDGE = """<title>Edge</title><style>body{margin:0}#e{position:absolute;right:0;top:0;width:10px;height:2000px;background:#f00}</style>
<div id=e></div>"""
PAGES = {
    "/": LOGIN,
    "/more": MORE,
    "/tab": "<title>Tab</title><h1>A new tab</h1>",
    "/talkative": TALKATIVE,
    "/long": LONG,
    "/edge": EDGE,
    "/loop": "<title>Loop</title><button onclick='for(;;);'>loop</button>",
    "/form": "<form method=post action=/upload enctype=multipart/form-data><input type=file name=f id=f multiple><button>Send</button></form>",
}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body: str, status: int = 200, **headers: str):
        data = body.encode()
        self.send_response(status)
        headers = {"content-type": "text/html; charset=utf-8", "content-length": str(len(data))} | headers
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/upload":
            self.server.received.append(body)
            return self.answer("<h1>received</h1>")
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if form.get("password") != PASSWORD:
            return self.answer("<h1>wrong</h1>", 403)
        user = urllib.parse.quote(f"{form['user']} {form['role']}")
        self.answer("", 303, location="/table?page=1", set_cookie=f"user={user}; HttpOnly; Path=/")

    def do_GET(self):
        address = urllib.parse.urlparse(self.path)
        if address.path in PAGES:
            self.answer(PAGES[address.path])
        elif address.path == "/table":
            self.table(int(dict(urllib.parse.parse_qsl(address.query)).get("page", 1)))
        elif address.path == "/report":
            headers = {"content-type": "text/csv", "content-disposition": "attachment; filename*=UTF-8''Bericht%20%E2%82%AC.csv"}
            self.answer(REPORT, **headers)
        else:
            self.answer("<h1>not found</h1>", 404)

    def table(self, number: int):
        rows = "".join(f"<tr><td>{name}<td>{value}" for name, value in ROWS[(number - 1) * PER_PAGE : number * PER_PAGE])
        more = f"<a href='/table?page={number + 1}'>Next</a>" if number * PER_PAGE < len(ROWS) else ""
        user = urllib.parse.unquote(self.headers.get("cookie", ""))
        self.answer(TABLE.format(number=number, user=user, rows=rows, next=more))


class Site:
    def __enter__(self) -> "Site":
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.received = self.server.received = []
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.address}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
