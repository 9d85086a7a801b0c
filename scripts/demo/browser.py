"""A form in a browser session: stock boto3 starts it, the native door's page actions fill it in. Started by scripts/demo.sh.

    browser.py URL OUTPUT     the page of page.py, and the folder for the picture
"""

import base64
import json
import os
import pathlib
import struct
import sys
import urllib.request

import boto3

from demo import Timed, indented, section, size

BROWSER = "demo_browser-k3j9x2m4qa"
VIEWPORT = {"width": 1920, "height": 1080}
NAME = "Zoë Müller-Łukasz"
MESSAGE = "Grüße, Здравствуйте, γειά, שלום, नमस्ते, 你好, こんにちは 🌍"


def act(session: str, actions: list) -> list:
    """Carries page actions out; the first that fails ends the demo."""
    request = urllib.request.Request(
        f"{os.environ['CLOISTER_ENDPOINT']}/v1/sessions/{session}/actions",
        json.dumps({"actions": actions, "timeout": 60}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}"},
    )
    with urllib.request.urlopen(request) as answer:
        performed = json.load(answer)
    if performed["failed"]:
        sys.exit(f"the browser failed: {performed['failed']}")
    return performed["results"]


def main(url: str, output: pathlib.Path) -> None:
    aws = boto3.client("bedrock-agentcore")
    section("A form in a browser session")
    with Timed() as start:
        started = aws.start_browser_session(browserIdentifier=BROWSER, name="demo", viewPort=VIEWPORT)
    session = started["sessionId"]
    print(f"   The session was there in {start.ms:.0f} ms. Playwright would connect to\n")
    print(f"   {started['streams']['automationStream']['streamEndpoint']}\n")
    try:
        with Timed() as took:
            results = act(
                session,
                [
                    {"navigate": {"url": url}},
                    {"type": {"selector": "#name", "text": NAME}},
                    {"select": {"selector": "#from", "values": ["Elsewhere"]}},
                    {"type": {"selector": "#message", "text": MESSAGE}},
                    {"click": {"selector": "#send"}},
                    {"wait": {"text": "Thank you"}},
                    {"extract": {"selector": "#sent", "what": "text"}},
                    {"screenshot": {"format": "png"}},
                ],
            )
    finally:
        aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session)
    sent, picture = results[-2]["text"], base64.b64decode(results[-1]["data"])
    print(f"   Filled in and sent in {took.ms:.0f} ms; the page of the answer says\n\n{indented(sent)}\n")
    if NAME not in sent or MESSAGE not in sent:
        sys.exit("the text did not arrive as it was typed")
    width, height = struct.unpack(">II", picture[16:24])
    if (width, height) != (VIEWPORT["width"], VIEWPORT["height"]):
        sys.exit(f"the picture has {width}×{height} pixels")
    output.mkdir(exist_ok=True)
    file = output / "browser.png"
    file.write_bytes(picture)
    print(f"   A picture of it, {width}×{height}, {size(len(picture))}, lies in {file.resolve()}.\n")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
