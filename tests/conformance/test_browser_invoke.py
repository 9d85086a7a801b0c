"""InvokeBrowser by stock boto3 on the real browser: all eight actions do what they say to a page, or say why not."""

import struct
import urllib.parse

import pytest
from playwright.sync_api import sync_playwright

BROWSER = "aws.browser.v1"
SIZE = (800, 600)
TEXT = "Grüße 你好 🌍"
# The page writes down what comes to it, so that a test sees what the browser was made to do.
PAGE = """<!doctype html><style>body{margin:0;height:3000px}#f{position:absolute;left:100px;top:100px;width:300px;height:40px}
#d{position:absolute;left:500px;top:300px;width:100px;height:100px;background:#0a0}</style><input id=f><div id=d></div><script>
const seen = []
for (const kind of ['click', 'dblclick', 'contextmenu', 'auxclick', 'mousedown', 'mouseup', 'mousemove'])
  addEventListener(kind, e => seen.push([kind, e.clientX, e.clientY, e.button, e.detail]))
addEventListener('keydown', e => seen.push(['key', e.key, e.ctrlKey, e.shiftKey]))
</script>"""


@pytest.fixture(scope="module")
def session(aws):
    viewport = {"width": SIZE[0], "height": SIZE[1]}
    session = aws.start_browser_session(browserIdentifier=BROWSER, viewPort=viewport)
    yield session
    aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session["sessionId"])


@pytest.fixture(scope="module")
def client(session):
    """The session's page as a CDP client has it: it sets pages up, and looks at what became of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(session["streams"]["automationStream"]["streamEndpoint"])
        yield browser.contexts[0].pages[0]
        browser.close()


@pytest.fixture
def page(client):
    # A new document, so that nothing of the last test's is left; set_content keeps its window.
    client.goto("data:text/html;charset=utf-8," + urllib.parse.quote(PAGE))
    return client


@pytest.fixture
def act(aws, session):
    def act(name: str, **arguments) -> dict:
        answer = aws.invoke_browser(browserIdentifier=BROWSER, sessionId=session["sessionId"], action={name: arguments})
        assert answer["sessionId"] == session["sessionId"] and list(answer["result"]) == [name]
        return answer["result"][name]

    return act


def done(result: dict):
    assert result["status"] == "SUCCESS" and "error" not in result, result


def seen(page, *kinds: str) -> list:
    return page.evaluate("kinds => seen.filter(([kind]) => kinds.includes(kind))", kinds)


def test_clicks_arrive_where_and_as_often_as_they_were_meant(page, act):
    done(act("mouseClick", x=10, y=20))
    done(act("mouseClick", x=30, y=40, button="RIGHT"))
    done(act("mouseClick", x=50, y=60, button="MIDDLE"))
    done(act("mouseClick", x=70, y=80, clickCount=2))
    clicks = [event[:4] for event in seen(page, "click", "dblclick", "contextmenu")]
    assert clicks == [["click", 10, 20, 0], ["contextmenu", 30, 40, 2], *[["click", 70, 80, 0]] * 2, ["dblclick", 70, 80, 0]]
    assert ["auxclick", 50, 60, 1] in [event[:4] for event in seen(page, "auxclick")]


def test_the_pointer_moves_drags_and_turns_its_wheel(page, act):
    done(act("mouseMove", x=123, y=45))
    assert seen(page, "mousemove")[-1][1:3] == [123, 45]
    done(act("mouseDrag", startX=510, startY=310, endX=600, endY=450))
    assert [event[:3] for event in seen(page, "mousedown", "mouseup")] == [["mousedown", 510, 310], ["mouseup", 600, 450]]
    assert len(seen(page, "mousemove")) > 2
    # As the service model says: negative is down.
    done(act("mouseScroll", x=400, y=300, deltaY=-500))
    page.wait_for_function("scrollY == 500")
    done(act("mouseScroll", x=400, y=300, deltaY=500))
    page.wait_for_function("scrollY == 0")


def test_text_of_every_kind_is_typed_and_keys_and_shortcuts_work_on_it(page, act):
    done(act("mouseClick", x=200, y=120))
    done(act("keyType", text=TEXT))
    assert page.input_value("#f") == TEXT
    done(act("keyPress", key="Backspace", presses=3))
    assert page.input_value("#f") == TEXT[:-3]
    done(act("keyShortcut", keys=["ctrl", "a"]))
    done(act("keyPress", key="ü"))
    assert page.input_value("#f") == "ü"
    assert ["key", "a", True, False] in seen(page, "key")


def test_a_screenshot_is_a_png_of_the_view_port(page, act):
    result = act("screenshot")
    done(result)
    assert result["data"].startswith(b"\x89PNG") and struct.unpack(">II", result["data"][16:24]) == SIZE


def test_an_unknown_key_is_refused_and_told_what_would_do(aws, page, act):
    for name, arguments, wrong in (("keyPress", {"key": "hyperdrive"}, "key"), ("keyShortcut", {"keys": ["ctrl", "hyperdrive"]}, "keys")):
        with pytest.raises(aws.exceptions.ValidationException, match='no key "hyperdrive": use a character, or one of enter') as error:
            act(name, **arguments)
        assert [field["name"] for field in error.value.response["fieldList"]] == [f"action.{name}.{wrong}"]
    assert seen(page, "key") == []


@pytest.mark.parametrize(
    "name, arguments, wrong",
    [
        ("mouseClick", {"x": SIZE[0], "y": 0}, ["x"]),
        ("mouseMove", {"x": -1, "y": SIZE[1]}, ["x", "y"]),
        ("mouseDrag", {"startX": 0, "startY": 0, "endX": 5000, "endY": 5}, ["endX"]),
        ("mouseScroll", {"x": 0, "y": 10_000, "deltaY": 5}, ["y"]),
    ],
)
def test_a_point_outside_of_the_view_port_is_refused_by_its_name(aws, page, act, name, arguments, wrong):
    with pytest.raises(aws.exceptions.ValidationException) as error:
        act(name, **arguments)
    assert [field["name"] for field in error.value.response["fieldList"]] == [f"action.{name}.{one}" for one in wrong]
    assert seen(page, "mousemove", "click") == []


def test_a_dialog_is_named_by_whatever_it_is_in_the_way_of_and_the_keyboard_answers_it(page, act):
    # Playwright leaves a dialog open if somebody listens.
    opened = []

    def listen(dialog):
        opened.append(dialog.message)

    page.on("dialog", listen)
    page.evaluate("setTimeout(() => { document.title = prompt('Wie heißt du?', 'niemand') })")
    while not opened:
        page.context.cookies()
    for name, arguments in (("mouseClick", {"x": 1, "y": 1}), ("mouseMove", {"x": 1, "y": 1}), ("screenshot", {}), ("keyPress", {"key": "Tab"})):
        result = act(name, **arguments)
        assert result["status"] == "FAILED" and "Wie heißt du?" in result["error"], (name, result)
    done(act("keyType", text=TEXT))
    done(act("keyPress", key="enter"))
    page.wait_for_function("text => document.title == text", arg=TEXT)
    page.evaluate("setTimeout(() => { document.title = confirm('Sicher?') })")
    while len(opened) < 2:
        page.context.cookies()
    done(act("keyPress", key="Escape"))
    page.wait_for_function("document.title == 'false'")
    page.remove_listener("dialog", listen)
