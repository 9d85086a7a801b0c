"""Fixtures for page actions: a server whose browsers reach a local site, and a session's native routes without any SDK.

    test ─▶ POST /v1/sessions/{id}/actions ─▶ jailed Chromium ─▶ --allow-loopback ─▶ local_site.py
"""

import json
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest

from local_site import Site
from server import Server
from test_live_view import until  # noqa: F401

BROWSER = "aws.browser.v1"
SIZE = (800, 600)


@pytest.fixture(scope="module")
def site():
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    config = tmp_path_factory.mktemp("acting") / "cloister.toml"
    config.write_text(f'[interpreters."{BROWSER}"]\npolicy = "browser-open"\n')
    with Server("--pool", "0", "--config", str(config), "--allow-loopback", site.address) as server:
        yield server


@pytest.fixture(scope="module")
def variables(server):
    return server.environment()


@pytest.fixture(scope="module")
def client(variables):
    """Stock boto3 on this server, which is not the one of the run."""
    return boto3.client(
        "bedrock-agentcore",
        endpoint_url=variables["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture
def browser(client, server, variables):
    """A browser session that ends with its test."""
    viewport = {"width": SIZE[0], "height": SIZE[1]}
    session = client.start_browser_session(browserIdentifier=BROWSER, viewPort=viewport)["sessionId"]
    yield Browser(server.url, variables["CLOISTER_TOKEN"], session)
    client.stop_browser_session(browserIdentifier=BROWSER, sessionId=session)


class Browser:
    """One session by its native routes."""

    def __init__(self, server: str, token: str, session: str):
        self.server, self.token, self.id = server, token, session

    def ask(self, method: str, path: str, body=None) -> tuple[int, bytes]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = urllib.request.Request(self.server + path, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post(self, *actions: dict, **options) -> tuple[int, dict]:
        status, body = self.ask("POST", f"/v1/sessions/{self.id}/actions", {"actions": actions} | options)
        return status, json.loads(body)

    def act(self, *actions: dict, **options) -> list[dict]:
        """The results of actions that all succeed."""
        status, answer = self.post(*actions, **options)
        assert status == 200 and answer["failed"] is None, answer
        assert [result["action"] for result in answer["results"]] == [name for action in actions for name in action]
        return answer["results"]

    def fail(self, *actions: dict, **options) -> dict:
        """What the answer says about the action that failed: the last that has a result, and the one named."""
        status, answer = self.post(*actions, **options)
        assert status == 200 and answer["failed"], answer
        failed, last = answer["failed"], answer["results"][-1]
        assert failed["index"] == len(answer["results"]) - 1 and failed["action"] == last["action"]
        assert last["error"] == {"code": failed["code"], "message": failed["message"]}
        assert not any("error" in result for result in answer["results"][:-1])
        return failed

    def evaluate(self, expression: str):
        return self.act({"evaluate": {"expression": expression}})[0]["value"]

    def file(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
        return self.ask(method, f"/v1/sessions/{self.id}/files/{urllib.parse.quote(path)}", body)

    def names(self, folder: str) -> dict[str, int]:
        """The files of a folder, and their sizes."""
        status, body = self.ask("GET", f"/v1/sessions/{self.id}/files?path={urllib.parse.quote(folder)}")
        assert status == 200, body
        return {entry["name"]: entry["size"] for entry in json.loads(body)["entries"]}
