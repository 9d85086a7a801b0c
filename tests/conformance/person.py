"""A person at a live view: a Chromium of its own, in front of the page that a link opens, with hands and eyes.

    screen ─▶ where the session's page is drawn on the canvas ─▶ hands: points of the page become points of the window

It runs as nobody, because Chromium keeps its sandbox as an ordinary user only.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
# A busy machine starts a Chromium in seconds.
WITHIN = 60


class Chromium:
    """`with Chromium() as url:` an endpoint for Playwright's connect_over_cdp; nothing is left afterwards."""

    def __enter__(self) -> str:
        self.home = tempfile.mkdtemp(prefix="cloister-person-", dir="/tmp")
        command = [CHROMIUM, "--remote-debugging-port=0", f"--user-data-dir={self.home}/profile", "about:blank"]
        if os.geteuid() == 0:
            shutil.chown(self.home, "nobody", "nogroup")
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        environment = {"HOME": self.home, "PATH": os.environ["PATH"], "TZ": "UTC"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return self._published()
        except BaseException:
            self.__exit__()
            raise

    def _published(self) -> str:
        port = pathlib.Path(self.home, "profile", "DevToolsActivePort")
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            assert self.process.poll() is None, "the person's Chromium has ended"
            if port.exists() and len(lines := port.read_text().split()) == 2:
                return f"http://127.0.0.1:{lines[0]}"
            time.sleep(0.05)
        raise AssertionError(f"the person's Chromium is not up after {WITHIN} s")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class View:
    """An open live view, as a Playwright page."""

    def __init__(self, page, url: str, size: tuple[int, int]):
        self.page, self.size = page, size
        page.goto(url)

    def shows(self, selector: str, text: str):
        """Waits until an element of the live view's own page says something."""
        self.page.locator(selector, has_text=text).first.wait_for()

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the session's page lies in the window: the page is scaled to the canvas, with bars around."""
        box = self.page.locator("#screen").bounding_box()
        scale = min(box["width"] / self.size[0], box["height"] / self.size[1])
        left = box["x"] + (box["width"] - self.size[0] * scale) / 2
        top = box["y"] + (box["height"] - self.size[1] * scale) / 2
        return left + x * scale, top + y * scale

    def click(self, x: float, y: float):
        self.page.mouse.click(*self.point(x, y))

    def colour(self, x: float, y: float) -> list[int]:
        """What the canvas shows at a point of the session's page."""
        left, top = self.point(x, y)
        return self.page.evaluate(
            """([x, y]) => {
                const canvas = document.getElementById('screen'), box = canvas.getBoundingClientRect();
                const scale = canvas.width / box.width;
                const data = canvas.getContext('2d').getImageData((x - box.left) * scale, (y - box.top) * scale, 1, 1).data;
                return [...data].slice(0, 3);
            }""",
            [left, top],
        )
