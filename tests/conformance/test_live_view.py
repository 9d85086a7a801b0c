"""The live view in a real browser, in front of a real session that Playwright drives: it is seen, taken over, and given back."""

import json
import os
import time
import urllib.error
import urllib.request

import pytest
from playwright.sync_api import Error, sync_playwright

import needs
import person

BROWSER = "aws.browser.v1"
SIZE = (1000, 700)
PAGE = """<!doctype html><title>Seen</title><style>body{margin:0}input,button{position:absolute;left:100px;width:300px;height:40px}
#field{top:100px}#press{top:200px}#box{position:absolute;left:600px;top:300px;width:200px;height:200px;background:#00a000}</style>
<input id=field><button id=press onclick="box.style.background='#0000c0';document.title='Pressed'">press</button><div id=box></div>
<p style="height:3000px">"""


def near(colour: list[int], wanted: tuple[int, int, int]) -> bool:
    """JPEG changes colours a little."""
    return all(abs(a - b) < 24 for a, b in zip(colour, wanted))


def until(condition):
    """Waits for what another process does; fails when it does not come."""
    end = time.monotonic() + 30
    while not (last := condition()):
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.05)
    return last


def ask(path: str, body: dict | None = None, token: bool = True):
    url = path if path.startswith("http") else os.environ["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"] + path
    request = urllib.request.Request(url, data=json.dumps(body or {}).encode(), headers={"content-type": "application/json"})
    if token:
        request.add_header("authorization", f"Bearer {os.environ['CLOISTER_TOKEN']}")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def playwright():
    if not os.path.exists(person.CHROMIUM):
        needs.skip(f"{person.CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def window(playwright):
    """The person's browser."""
    with person.Chromium() as url:
        browser = playwright.chromium.connect_over_cdp(url)
        yield browser.new_context(viewport={"width": 900, "height": 800})
        browser.close()


@pytest.fixture
def session(aws):
    viewport = {"width": SIZE[0], "height": SIZE[1]}
    session = aws.start_browser_session(browserIdentifier=BROWSER, viewPort=viewport)
    yield session
    aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session["sessionId"])


@pytest.fixture
def driven(playwright, session):
    """The session's page, as its automation client has it."""
    browser = playwright.chromium.connect_over_cdp(session["streams"]["automationStream"]["streamEndpoint"])
    page = browser.contexts[0].pages[0]
    page.set_content(PAGE)
    yield page
    browser.close()


@pytest.fixture
def view(window, session):
    """Opens live views in a role."""
    opened = []

    def open_(role: str) -> person.View:
        link = ask(f"/v1/sessions/{session['sessionId']}/live-view", {"role": role})
        opened.append(window.new_page())
        return person.View(opened[-1], link["url"], SIZE)

    yield open_
    for page in opened:
        page.close()


def test_a_watcher_sees_what_automation_does_and_can_do_nothing(driven, view, session):
    watcher = view("view")
    until(lambda: near(watcher.colour(700, 400), (0, 160, 0)))
    driven.click("#press")
    until(lambda: near(watcher.colour(700, 400), (0, 0, 192)))
    watcher.shows(".tab", "Pressed")
    assert not watcher.page.locator("#take").is_visible()
    watcher.click(250, 120)
    watcher.page.keyboard.type("x")
    watcher.shows("#notice", "watching only")
    assert driven.input_value("#field") == ""
    link = ask(f"/v1/sessions/{session['sessionId']}/live-view", {"role": "view"})["url"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(link.replace("/live-view?", "/live-view/control?"), {"take": True}, token=False)


def test_a_watcher_holds_up_no_dialog_of_the_page(driven, view):
    watcher = view("view")
    watcher.shows(".tab", "Seen")
    # It opens when automation has gone: its client would answer it, and a client that has asked to hear of it would leave it open.
    driven.evaluate("setTimeout(() => { document.title = `Answered ${confirm('really?')}`; }, 1000)")
    driven.context.browser.close()
    watcher.shows(".tab", "Answered false")


def test_a_person_takes_control_uses_the_page_and_gives_it_back(driven, view, session, playwright):
    seen = view("control")
    until(lambda: near(seen.colour(700, 400), (0, 160, 0)))
    seen.page.click("#take")
    seen.shows("#who", "a person")
    until(lambda: not driven.context.browser.is_connected())
    endpoint = session["streams"]["automationStream"]["streamEndpoint"]
    with pytest.raises(Error):
        playwright.chromium.connect_over_cdp(endpoint)
    seen.click(250, 120)
    seen.page.keyboard.type("Grüße ")
    seen.page.keyboard.insert_text("日本語")
    seen.click(250, 220)
    seen.shows(".tab", "Pressed")
    until(lambda: near(seen.colour(700, 400), (0, 0, 192)))
    seen.page.mouse.move(*seen.point(500, 500))
    seen.page.mouse.wheel(0, 300)
    until(lambda: not near(seen.colour(700, 480), (0, 0, 192)))
    seen.page.click("#take")
    seen.shows("#who", "automation")
    browser = playwright.chromium.connect_over_cdp(endpoint)
    page = browser.contexts[0].pages[0]
    assert (page.input_value("#field"), page.evaluate("scrollY")) == ("Grüße 日本語", 300)
    browser.close()


def test_the_view_says_why_it_has_ended(view, session, aws):
    seen = view("control")
    seen.shows("#link", "Connected")
    aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session["sessionId"])
    seen.shows("#notice", "Closed")
