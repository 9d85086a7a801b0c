"""Page actions on the real browser and a real site: what a person does to a page, step by step, and what goes wrong on the way."""

import base64
import json
import struct

import pytest

from acting import BROWSER, SIZE, browser, client, server, site, until, variables  # noqa: F401
from local_site import PASSWORD, PER_PAGE, ROWS, SECTION, SECTIONS


def size(result: dict) -> tuple[int, int]:
    """Width and height of a PNG."""
    data = base64.b64decode(result["data"])
    assert result["mimeType"] == "image/png" and len(data) == result["size"] and data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


def markdown(rows) -> str:
    return "\n".join(["| Name | Wert |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])


def test_a_form_of_any_script_is_filled_in_and_a_table_is_read_page_after_page(browser, site):  # noqa: F811
    results = browser.act(
        {"navigate": {"url": site.url}},
        {"type": {"selector": "[name=user]", "text": "Jürgen 张伟 🌍"}},
        {"type": {"selector": "[name=password]", "text": PASSWORD}},
        {"select": {"selector": "[name=role]", "values": "Schreiberin"}},
        {"click": {"selector": 'role=button[name="Sign in"]'}},
        {"wait": {"url": "/table"}},
        {"extract": {"selector": "#user", "what": "text"}},
        {"cookies": {}},
    )
    assert (results[0]["value"]["status"], results[0]["value"]["title"]) == (200, "Login")
    assert results[4]["url"] == f"{site.url}/table?page=1"
    assert results[6]["text"] == "user=Jürgen 张伟 🌍 w"
    [cookie] = results[7]["value"]
    assert (cookie["name"], cookie["domain"], cookie["httpOnly"]) == ("user", "127.0.0.1", True)

    # As an agent does it: until there is no link any more.
    seen = []
    while True:
        table, links = browser.act({"extract": {"selector": "table", "what": "markdown"}}, {"extract": {"what": "links"}})
        seen.append(table["text"])
        if "Next" not in {link["text"] for link in links["value"]}:
            break
        browser.act({"click": {"selector": "text=Next"}})
    assert seen == [markdown(ROWS[first : first + PER_PAGE]) for first in range(0, len(ROWS), PER_PAGE)]

    back, _, _, _, user = browser.act({"back": {}}, {"forward": {}}, {"clearCookies": {}}, {"reload": {}}, {"extract": {"selector": "#user"}})
    assert back["url"] == f"{site.url}/table?page=2"
    assert user["url"] == f"{site.url}/table?page=3" and "Jürgen" not in user.get("text", "")


def test_a_snapshot_names_what_a_click_then_hits_even_in_a_frame(browser, site):  # noqa: F811
    _, snapshot = browser.act({"navigate": {"url": f"{site.url}/more"}}, {"snapshot": {}})
    [line] = [line for line in snapshot["text"].splitlines() if 'button "framed"' in line]
    reference = line.split("[ref=")[1].split("]")[0]
    _, text = browser.act({"click": {"selector": f"ref={reference}"}}, {"extract": {"what": "text"}})
    assert "pressed" in text["text"] and "in the frame" not in text["text"]


def test_a_link_to_a_new_tab_leads_there_and_closing_it_leads_back(browser, site):  # noqa: F811
    _, click, tabs, text, close, after = browser.act(
        {"navigate": {"url": f"{site.url}/more"}},
        {"click": {"selector": "#blank"}},
        {"tabs": {}},
        {"extract": {"what": "text"}},
        {"closeTab": {}},
        {"tabs": {}},
    )
    opened = click["value"]["openedTab"]["tab"]
    [first, second] = tabs["value"]
    assert second == second | {"tab": opened, "url": f"{site.url}/tab", "current": True, "openedBy": first["tab"]}
    assert text["text"] == "A new tab"
    assert close["url"] == f"{site.url}/more"
    assert [(tab["tab"], tab["current"]) for tab in after["value"]] == [(first["tab"], True)]
    tab = browser.act({"openTab": {"url": f"{site.url}/tab"}}, {"switchTab": {"tab": first["tab"]}})[1]
    assert tab["url"] == f"{site.url}/more"


def test_dialogs_are_dismissed_unless_told_otherwise_and_then_answered(browser, site):  # noqa: F811
    browser.act({"navigate": {"url": f"{site.url}/more"}}, {"click": {"selector": "#con"}})
    assert browser.evaluate("document.title") == "confirmed false"
    browser.act({"dialogs": {"accept": True, "text": "Zoë 🌍"}}, {"click": {"selector": "#ask"}})
    assert browser.evaluate("document.title") == "asked Zoë 🌍"
    browser.act({"click": {"selector": "#con"}})
    assert browser.evaluate("document.title") == "confirmed true"
    messages = browser.act({"console": {}})[0]["value"]["messages"]
    dialogs = [message["text"] for message in messages if message["kind"] == "dialog"]
    assert len(dialogs) == 3 and "Sicher?" in dialogs[0] and "Wie heißt du?" in dialogs[1]


def test_the_console_and_the_network_tell_what_the_page_did(browser, site):  # noqa: F811
    browser.act({"navigate": {"url": f"{site.url}/talkative"}})
    until(lambda: browser.evaluate("document.title") == "fetched")
    console, network = browser.act({"console": {}}, {"network": {}})
    said = [(message["kind"], message["text"].splitlines()[0]) for message in console["value"]["messages"]]
    assert ("log", "hallo Object {a: 1}") in said and ("error", "böse") in said
    assert any(kind == "exception" and "boom" in text for kind, text in said)
    requests = {request["url"]: request for request in network["value"]["requests"]}
    page, missing = requests[f"{site.url}/talkative"], requests[f"{site.url}/missing"]
    assert (page["method"], page["kind"], page["status"], page["mime"]) == ("GET", "Document", 200, "text/html")
    assert missing["status"] == 404


def test_pictures_have_the_size_of_what_they_show_and_a_pdf_is_one(browser, site):  # noqa: F811
    _, view, whole, element, jpeg, pdf = browser.act(
        {"navigate": {"url": f"{site.url}/long"}},
        {"screenshot": {}},
        {"screenshot": {"fullPage": True}},
        {"screenshot": {"selector": "#s7"}},
        {"screenshot": {"format": "jpeg", "quality": 50}},
        {"pdf": {}},
    )
    assert size(view) == SIZE
    # Its width is another test's.
    assert size(whole)[1] == SECTIONS * SECTION
    assert size(element) == (400, SECTION)
    assert jpeg["mimeType"] == "image/jpeg" and base64.b64decode(jpeg["data"]).startswith(b"\xff\xd8\xff")
    data = base64.b64decode(pdf["data"])
    assert pdf["mimeType"] == "application/pdf" and data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")


# Draws a picture, and gives the red, green and blue of a point in row 100: of the first column, or of the last.
POINT = """(async () => {
  const picture = await createImageBitmap(await (await fetch('data:image/png;base64,%s')).blob());
  const draw = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
  draw.drawImage(picture, 0, 0);
  return [0, picture.width - 1].map(x => [...draw.getImageData(x, 100, 1, 1).data].slice(0, 3));
})()"""


@pytest.mark.parametrize("of, left", [({"fullPage": True}, [255, 255, 255]), ({"selector": "#e"}, [255, 0, 0])])
def test_a_picture_of_a_scrolled_page_has_its_right_edge_and_leaves_the_page_as_it_was(browser, site, of, left):  # noqa: F811
    width = {"evaluate": {"expression": "document.documentElement.scrollWidth"}}
    _, before, picture, after = browser.act({"navigate": {"url": f"{site.url}/edge"}}, width, {"screenshot": of}, width)
    assert size(picture)[1] == 2000
    seen = browser.evaluate(POINT % picture["data"])
    assert (seen, after["value"]) == ([left, [255, 0, 0]], before["value"])


def test_the_first_failure_stops_the_rest_and_says_which_it_was(browser, site):  # noqa: F811
    tab = {"navigate": {"url": f"{site.url}/tab"}}
    later = {"evaluate": {"expression": "document.title = 'later'"}}
    failed = browser.fail(tab, {"click": {"selector": "#nothing"}}, later, timeout=3)
    assert (failed["index"], failed["action"], failed["code"]) == (1, "click", "not_found") and "#nothing" in failed["message"]
    failed = browser.fail({"navigate": {"url": "chrome://crash"}}, later)
    assert (failed["index"], failed["code"]) == (0, "denied")
    assert browser.evaluate("document.title") == "Tab"


def test_a_mistake_in_one_action_is_named_by_its_path_and_none_is_done(browser, site):  # noqa: F811
    status, answer = browser.post({"navigate": {"url": f"{site.url}/tab"}}, {"clik": {}}, {"click": {"selector": 7}})
    assert (status, answer["error"]["kind"]) == (400, "validation")
    assert [field["name"] for field in answer["error"]["fields"]] == ["actions[1].clik", "actions[2].click.selector"]
    assert browser.evaluate("location.href") == "about:blank"


def test_a_page_that_loops_for_ever_times_out_and_the_session_goes_on(browser, site):  # noqa: F811
    loop = {"navigate": {"url": f"{site.url}/loop"}}
    failed = browser.fail(loop, {"click": {"selector": "text=loop"}}, {"evaluate": {"expression": "1"}}, timeout=5)
    assert (failed["index"], failed["action"], failed["code"]) == (1, "click", "timeout")
    assert browser.evaluate("document.title") == "Loop"
    assert browser.fail({"evaluate": {"expression": "for(;;);"}}, timeout=3)["code"] == "timeout"
    assert browser.evaluate("6 * 7") == 42
    assert browser.act({"navigate": {"url": f"{site.url}/tab"}}, {"extract": {}})[1]["text"] == "A new tab"


def test_a_page_out_of_memory_is_named_and_a_navigation_makes_a_new_one(browser, site):  # noqa: F811
    browser.act({"navigate": {"url": f"{site.url}/tab"}})
    eat = "const all = []; for (;;) all.push(new Array(1e6).fill(Math.random()))"
    assert browser.fail({"evaluate": {"expression": eat}}, timeout=60)["code"] == "crashed"
    failed = browser.fail({"extract": {}})
    assert failed["code"] == "crashed" and "navigate" in failed["message"]
    assert browser.act({"navigate": {"url": f"{site.url}/tab"}}, {"extract": {}})[1]["text"] == "A new tab"


def test_the_update_of_a_stream_takes_actions_too_and_names_mistakes_as_aws_does(browser, site):  # noqa: F811
    path = f"/browsers/{BROWSER}/sessions/streams/update?sessionId={browser.id}"
    action = {"navigate": {"url": f"{site.url}/tab"}, "extract": {"what": "text"}}
    status, body = browser.ask("PUT", path, {"action": action})
    answer = json.loads(body)
    assert (status, answer["failed"], answer["sessionId"]) == (200, None, browser.id)
    assert [result["action"] for result in answer["results"]] == ["navigate", "extract"]
    assert answer["results"][1]["text"] == "A new tab"
    status, body = browser.ask("PUT", path, {"action": {"klick": {}}})
    answer = json.loads(body)
    assert (status, answer["reason"]) == (400, "FieldValidationFailed")
    assert [field["name"] for field in answer["fieldList"]] == ["action.klick"]
