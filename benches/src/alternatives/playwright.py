"""Starts browsers with Playwright's own launch() and times them: a line of JSON in, a line of JSON out."""

import json
import sys
import time

from playwright.sync_api import sync_playwright

PROGRAM = sys.argv[1]


def launch(playwright, question):
    """From launch() until the browser answers, or until its first picture; the browser is closed outside of the clock."""
    begun = time.monotonic_ns()
    # launch() returns when the browser has answered Browser.getVersion.
    browser = playwright.chromium.launch(executable_path=PROGRAM)
    try:
        if question["op"] == "screenshot":
            picture = browser.new_page().screenshot()
            if not picture.startswith(b"\x89PNG"):
                return {"error": "screenshot() gave no PNG"}
        return {"ns": time.monotonic_ns() - begun, "version": browser.version}
    finally:
        browser.close()


def main():
    with sync_playwright() as playwright:
        for line in sys.stdin:
            try:
                answer = launch(playwright, json.loads(line))
            except Exception as error:  # The bench shows whatever it is.
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)


main()
