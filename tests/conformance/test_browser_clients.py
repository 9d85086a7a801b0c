"""Many foreign CDP clients on one browser, through the server's stream: side by side, after each other, greedy, slow, and gone.

    Playwright ×2 ─┐
                   ├─ WebSocket ─▶ automation stream of one session ─▶ one Chromium
    Puppeteer  ×2 ─┘
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import urllib.parse

import pytest
from playwright.sync_api import Error, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from test_live_view import until

BROWSER = "aws.browser.v1"
PROGRAM = pathlib.Path(__file__).parent / "js" / "puppeteer.mjs"
PAGE = "<title>{}</title><input id=i><p id=p></p><script>i.oninput = () => p.textContent = i.value</script>"
TEXT = "Grüße 你好 🌍"
# Beyond what clients and proxies take by default, and what a full-page picture of a long page has.
LARGE = 20 << 20
# Pixels of noise do not compress: three bytes each.
NOISE = """
<canvas id=c width=2800 height=2600></canvas><script>
const draw = c.getContext('2d'), image = draw.createImageData(c.width, c.height);
let seed = 1;
for (let i = 0; i < image.data.length; i++) { seed = seed * 1664525 + 1013904223 | 0; image.data[i] = i % 4 == 3 ? 255 : seed >>> 24; }
draw.putImageData(image, 0, 0);
</script>"""


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def endpoint(aws):
    """The automation stream of a session that ends with its test."""
    session = aws.start_browser_session(browserIdentifier=BROWSER)
    yield session["streams"]["automationStream"]["streamEndpoint"]
    aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session["sessionId"])


@pytest.fixture
def join(playwright, endpoint):
    """Connects Playwright clients; those that are left are closed."""
    joined = []

    def join(url: str = endpoint):
        joined.append(playwright.chromium.connect_over_cdp(url))
        return joined[-1]

    yield join
    for browser in joined:
        browser.close()


def typed(page, text: str) -> str:
    page.fill("#i", text)
    return page.inner_text("#p")


def opened(browser, title: str):
    page = browser.contexts[0].new_page()
    page.set_content(PAGE.format(title))
    return page


class Puppeteer:
    """js/puppeteer.mjs: two clients in one process, stage by stage."""

    def __init__(self, endpoint: str):
        # Node looks for packages beside the program, and they lie in the cache.
        program = pathlib.Path(os.environ["CLOISTER_CONFORMANCE_JS"], PROGRAM.name)
        shutil.copyfile(PROGRAM, program)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(["node", program, endpoint], **pipes)

    def said(self) -> dict:
        line = self.process.stdout.readline()
        assert line, f"Puppeteer ended with status {self.process.wait(30)}"
        return json.loads(line)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(subprocess.TimeoutExpired):
            # An end of its input is a line, too.
            self.process.communicate(timeout=30)
        self.process.kill()
        self.process.wait()


def test_two_playwrights_and_two_puppeteers_work_on_one_browser_at_once(join, endpoint):
    one, two = join(), join()
    pages = [opened(one, "playwright-1"), opened(two, "playwright-2")]
    with Puppeteer(endpoint) as puppeteer:
        assert puppeteer.said() == {"connected": [True, True]}
        puppeteer.go_on()
        # Meanwhile these two go on.
        for turn in range(20):
            for index, page in enumerate(pages):
                assert typed(page, f"{TEXT} {index} {turn}") == f"{TEXT} {index} {turn}"
                assert page.screenshot().startswith(b"\x89PNG")
        seen = puppeteer.said()
        assert seen["texts"] == ["größer 0 日本", "größer 1 日本"] and seen["pictures"] == ["89504e47", "89504e47"]
        # Every client sees every page of the browser.
        assert {"playwright-1", "playwright-2", "puppeteer-1", "puppeteer-2"} <= set(seen["titles"])
        titles = {page.title() for page in one.contexts[0].pages}
        assert {"playwright-1", "playwright-2", "puppeteer-1", "puppeteer-2"} <= titles
        # One of the Puppeteers has closed "its" browser: nobody else is concerned.
        assert seen["connected"] == [False, True] and seen["alive"] == "größer 1 日本!"
        assert typed(pages[0], "still there") == "still there"
        puppeteer.go_on()
    assert typed(pages[1], "still there") == "still there"


def test_a_page_outlives_its_client_and_the_next_one_finds_it(join):
    first = join()
    page = first.contexts[0].pages[0]
    page.set_content(PAGE.format("kept"))
    typed(page, TEXT)
    # What a client has laid over the page is its own, and goes with it.
    page.set_viewport_size({"width": 400, "height": 300})
    first.close()
    for _ in range(3):
        again = join()
        page = again.contexts[0].pages[0]
        assert (page.title(), page.input_value("#i")) == ("kept", TEXT)
        assert page.evaluate("innerWidth") > 400
        again.close()


def test_a_client_that_closes_the_browser_closes_its_own_connection_only(join):
    leaves, stays = join(), join()
    page = opened(stays, "stays")
    gone = []
    leaves.on("disconnected", lambda _: gone.append(True))
    leaves.new_browser_cdp_session().send("Browser.close")
    with contextlib.suppress(Error):
        # Its end comes with the next thing that it does, if it has not come yet.
        leaves.contexts[0].new_page()
    assert gone and not leaves.is_connected()
    assert stays.is_connected() and typed(page, TEXT) == TEXT
    assert join().contexts[0].pages


def test_results_of_twenty_megabytes_arrive_whole_while_others_work(join):
    greedy, other = join(), join()
    page, small = opened(greedy, "greedy"), opened(other, "other")
    text = page.evaluate(f"'é'.repeat({LARGE // 2})")
    assert len(text.encode()) == LARGE and set(text) == {"é"}
    page.set_content(NOISE)
    picture = page.locator("#c").screenshot(timeout=120_000)
    assert len(picture) > LARGE and picture.startswith(b"\x89PNG") and picture.endswith(b"IEND\xaeB`\x82")
    assert typed(small, TEXT) == TEXT


class Raw:
    """A WebSocket without a client library around it, on the first page of the browser."""

    def __init__(self, endpoint: str, **options):
        self.socket, self.number = connect(endpoint, max_size=None, max_queue=1, **options), 0
        target = self.result(self.send("Target.getTargets"))["targetInfos"][0]["targetId"]
        self.session = self.result(self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]

    def send(self, method: str, session: str | None = None, **params) -> int:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        self.socket.send(json.dumps(message, ensure_ascii=False))
        return self.number

    def evaluate(self, expression: str) -> int:
        return self.send("Runtime.evaluate", self.session, expression=expression, returnByValue=True)

    def result(self, number: int) -> dict:
        while (answer := json.loads(self.socket.recv(timeout=40))).get("id") != number:
            pass
        return answer["result"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_a_command_of_twenty_megabytes_arrives_whole(endpoint):
    with Raw(endpoint) as client:
        number = client.evaluate(f"'{'ü' * (LARGE // 2)}'.length")
        assert client.result(number)["result"]["value"] == LARGE // 2


def test_a_client_that_reads_nothing_holds_up_nobody(join, endpoint):
    working = join()
    page = opened(working, "working")
    with Raw(endpoint) as idle, Raw(endpoint) as looker:
        # A quarter of a gigabyte for a client that takes none of it.
        for number in range(12):
            idle.evaluate(f"'x'.repeat({LARGE})")
            assert typed(page, f"{number}") == f"{number}"
        assert looker.result(looker.evaluate("6 * 7"))["result"]["value"] == 42
        assert page.screenshot().startswith(b"\x89PNG")
    assert typed(page, TEXT) == TEXT


def narrow(endpoint: str) -> socket.socket:
    """A connection on which next to nothing waits in this machine's kernel for who does not read."""
    where, narrow = urllib.parse.urlsplit(endpoint), socket.socket()
    # Before it connects: the window that it offers is decided then.
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect((where.hostname, where.port))
    return narrow


def test_a_client_that_reads_slower_than_its_browser_writes_is_closed_with_a_reason(join, endpoint):
    page = opened(join(), "working")
    with Raw(endpoint, sock=narrow(endpoint)) as slow, Raw(endpoint) as looker:
        width = lambda: looker.result(looker.evaluate("innerWidth"))["result"]["value"]  # noqa: E731
        # What a client has laid over the page goes with it: that tells when it is closed, and its own connection stays unread.
        size = {"width": 400, "height": 300, "deviceScaleFactor": 1, "mobile": False}
        slow.result(slow.send("Emulation.setDeviceMetricsOverride", slow.session, **size))
        assert width() == 400
        # More than an outbox holds and everything on the way to it.
        asked = [slow.evaluate(f"'x'.repeat({LARGE})") for _ in range(16)]
        until(lambda: typed(page, TEXT) == TEXT and width() > 400)
        # What was on its way comes first, whole, and then why nothing comes any more.
        arrived = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                answer = json.loads(slow.socket.recv(timeout=40))
                if "id" in answer:
                    arrived.append(answer["id"])
                    assert len(answer["result"]["result"]["value"]) == LARGE
        assert closed.value.rcvd.code == 4008 and closed.value.rcvd.reason.startswith("too slow")
        assert arrived == asked[: len(arrived)] and len(arrived) < len(asked)
        assert width() > 400
    assert typed(page, TEXT) == TEXT
    # It may come again.
    with Raw(endpoint) as again:
        assert again.result(again.evaluate("6 * 7"))["result"]["value"] == 42


def test_playwright_finds_the_stream_from_an_http_address(join, endpoint):
    """As with any Chromium: it asks `/json/version` below the address, and goes where that says."""
    page = join(endpoint.replace("ws://", "http://", 1)).contexts[0].pages[0]
    page.set_content(PAGE.format("over http"))
    assert typed(page, TEXT) == TEXT
