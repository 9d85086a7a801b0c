"""Browsers by configuration: the whole Chromium under `browser-full`, and a policy without a network, on one server of their own."""

import contextlib
import json
import urllib.request

import boto3
import pytest
from playwright.sync_api import Error, sync_playwright

from proxy import Loopback
from server import Server

FULL, SHELL, CLOSED = "full-abcdefghij", "shell-abcdefghij", "closed-abcdefghij"
POLICIES = {FULL: "browser-full", SHELL: "browser-open", CLOSED: "browser"}
SIZE = {"width": 1100, "height": 750}
# What a page can try. What it gets back is of no interest here: the origin's log tells whether it arrived.
REACH = """async url => {
    const tried = make => new Promise(done => make(done));
    await Promise.all([
        fetch(url + 'fetch', {mode: 'no-cors'}).catch(() => null),
        tried(done => { const image = new Image(); image.onload = image.onerror = done; image.src = url + 'image'; }),
        tried(done => { new WebSocket(url.replace('http', 'ws') + 'socket').onerror = done; }),
        tried(done => {
            const frame = document.createElement('iframe');
            frame.onload = done;
            frame.src = url + 'frame';
            document.body.append(frame);
        }),
    ]);
}"""
# What a page can tell a whole Chromium by.
LOOK = "[typeof window.chrome, navigator.pdfViewerEnabled]"
PAGE = "<input id=i><p id=p></p><script>i.oninput = () => p.textContent = i.value</script>"


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def origin():
    with Loopback("origin") as origin:
        yield origin


@pytest.fixture(scope="module")
def variables(tmp_path_factory, origin):
    """What `cloister env` says of a server with three browsers, none of them ready beforehand."""
    config = tmp_path_factory.mktemp("engines") / "cloister.toml"
    bound = "".join(f'[interpreters.{name}]\npolicy = "{policy}"\n' for name, policy in POLICIES.items())
    config.write_text(f"[pool]\nsize = 0\nbrowsers = 0\n{bound}")
    arguments = ["--allow-loopback", f"127.0.0.1:{origin.port}", "--pool", "0"]
    with Server(*arguments, "--config", str(config)) as server:
        yield server.environment()


@pytest.fixture
def open_page(variables, playwright):
    """The first page of a new session of a browser, and the session's native detail."""
    address, token = variables["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"], variables["CLOISTER_TOKEN"]
    aws = boto3.client(
        "bedrock-agentcore",
        endpoint_url=address,
        region_name="us-west-2",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    with contextlib.ExitStack() as ends:

        def open_page(browser: str):
            started = aws.start_browser_session(browserIdentifier=browser, viewPort=SIZE)
            session = started["sessionId"]
            ends.callback(aws.stop_browser_session, browserIdentifier=browser, sessionId=session)
            client = playwright.chromium.connect_over_cdp(started["streams"]["automationStream"]["streamEndpoint"])
            ends.callback(client.close)
            asked = urllib.request.Request(f"{address}/v1/sessions/{session}", headers={"authorization": f"Bearer {token}"})
            with urllib.request.urlopen(asked) as answer:
                return client.contexts[0].pages[0], json.load(answer)

        yield open_page


def test_the_whole_chromium_is_driven_like_the_shell(open_page, origin):
    page, detail = open_page(FULL)
    assert (detail["policy"], detail["walls"]["image"]) == ("browser-full", "chromium")
    assert detail["browser"]["viewport"] == SIZE and page.evaluate("[innerWidth, innerHeight]") == list(SIZE.values())
    page.goto(f"http://127.0.0.1:{origin.port}/full")
    assert page.title() == "origin" and "GET /full" in origin.log
    page.set_content(PAGE)
    page.fill("#i", "Grüße 你好 🌍")
    assert page.inner_text("#p") == "Grüße 你好 🌍"
    assert page.screenshot().startswith(b"\x89PNG")
    assert (pdf := page.pdf()).startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")


def test_the_detail_and_the_page_say_which_engine_it_is(open_page):
    (full, detail), (shell, of_shell) = open_page(FULL), open_page(SHELL)
    engine, shells = detail["browser"]["engine"], of_shell["browser"]["engine"]
    assert engine["product"].startswith("Chrome/") and shells["product"].startswith("HeadlessChrome/")
    assert full.evaluate("navigator.userAgent") == engine["userAgent"]
    assert full.evaluate(LOOK) == ["object", True] and shell.evaluate(LOOK) == ["undefined", False]


def test_a_policy_without_a_network_reaches_nothing(open_page, origin):
    """Not even the program that the operator has opened to every session with a network, which the other browser reaches by all ways."""
    url = f"http://127.0.0.1:{origin.port}/"
    origin.log.clear()
    open_page(SHELL)[0].evaluate(REACH, url)
    assert {f"GET /{way}" for way in ("fetch", "image", "socket", "frame")} <= set(origin.log)
    origin.log.clear()
    page, detail = open_page(CLOSED)
    assert detail["limits"]["network"]["mode"] == "none"
    page.evaluate(REACH, url)
    for address in (url, url.replace("127.0.0.1", "localhost"), "http://93.184.216.34/", "http://169.254.169.254/", "https://example.com/"):
        with pytest.raises(Error, match="net::ERR_"):
            # A new page each: in one that has failed, the error's own page may still be on its way.
            page.context.new_page().goto(address)
    assert not origin.log
    # Pages that the client brings work all the same.
    page.set_content(PAGE)
    page.fill("#i", "Grüße")
    assert page.inner_text("#p") == "Grüße"
