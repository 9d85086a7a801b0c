"""A recording in a real browser: what Playwright did in a session that has ended is played, and what was typed is in no event."""

import json
import os
import urllib.request

import pytest

import person
from test_live_view import PAGE, SIZE, ask, near, playwright, until, window  # noqa: F401

RECORDED = "recorded-abcdefghij"


def read(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


@pytest.fixture
def recorded(aws, playwright):  # noqa: F811
    """A session in which a field was filled and a button pressed, and which has ended: its answer to GetBrowserSession."""
    viewport = {"width": SIZE[0], "height": SIZE[1]}
    session = aws.start_browser_session(browserIdentifier=RECORDED, viewPort=viewport)
    named = {"browserIdentifier": RECORDED, "sessionId": session["sessionId"]}
    try:
        frames = aws.get_browser_session(**named)["sessionReplayArtifact"]
        count = lambda: len(json.loads(read(frames))["frames"])  # noqa: E731
        until(count)
        browser = playwright.chromium.connect_over_cdp(session["streams"]["automationStream"]["streamEndpoint"])
        page = browser.contexts[0].pages[0]
        for step in (
            lambda: page.set_content(PAGE),
            lambda: page.fill("#field", "correct horse"),
            lambda: page.click("#press"),
        ):
            before = count()
            step()
            until(lambda: count() > before)  # noqa: B023
        browser.close()
    finally:
        aws.stop_browser_session(**named)
    return aws.get_browser_session(**named)


def test_the_recording_of_an_ended_session_is_played_from_its_first_picture_to_its_last(recorded, window):  # noqa: F811
    assert recorded["status"] == "TERMINATED"
    link = ask(f"/v1/sessions/{recorded['sessionId']}/live-view", {"role": "view"})["url"]
    player = person.View(window.new_page(), link, SIZE)
    player.shows("footer", "ended")
    assert not near(player.colour(700, 400), (0, 0, 192))
    player.page.evaluate("() => { const t = document.getElementById('time'); t.value = t.max; t.dispatchEvent(new Event('input')); }")
    until(lambda: near(player.colour(700, 400), (0, 0, 192)))
    player.shows("#log", "Input.dispatchMouseEvent")
    player.page.click("#play")
    until(lambda: near(player.colour(700, 400), (0, 160, 0)))
    until(lambda: near(player.colour(700, 400), (0, 0, 192)))
    player.page.close()


def test_what_was_typed_is_in_no_event(recorded):
    events = read(json.loads(read(recorded["sessionReplayArtifact"]))["events"]["url"]).decode()
    methods = [event.get("method") for event in map(json.loads, events.splitlines())]
    assert "Input.insertText" in methods and "correct horse" not in events
