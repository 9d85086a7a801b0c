"""How browser sessions end, as a client sees it that is still connected: the record first, then the stream, with the cause."""

import json
import os
import pathlib
import signal
import urllib.request

import boto3
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import leftovers
from server import Server

BROWSER = "aws.browser.v1"


@pytest.fixture(scope="module")
def server():
    """A server without ready browsers: those that it has are the sessions'."""
    with Server("--pool", "0", "--no-auth") as server:
        yield server


@pytest.fixture(scope="module")
def aws(server):
    """A boto3 that knows it."""
    before = dict(os.environ)
    os.environ.update(server.environment())
    yield boto3.client("bedrock-agentcore")
    os.environ.clear()
    os.environ.update(before)


def status(aws, started) -> str:
    return aws.get_browser_session(browserIdentifier=BROWSER, sessionId=started["sessionId"])["status"]


def stream(started) -> str:
    return started["streams"]["automationStream"]["streamEndpoint"]


def closed(client) -> tuple[int, str]:
    """What the server says at the end of a stream."""
    with pytest.raises(ConnectionClosed) as end:
        while True:
            client.recv(timeout=60)
    return end.value.rcvd.code, end.value.rcvd.reason


def browsers(server) -> list[int]:
    """The browser processes of a server, without their children."""
    found = []
    for process, _ in leftovers.Watch(server.process.pid).processes:
        try:
            command = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--remote-debugging-pipe" in command and not any(word.startswith(b"--type=") for word in command):
            found.append(process)
    return found


def test_who_sees_a_stream_closed_because_time_is_up_finds_a_session_that_has_ended(aws):
    for _ in range(3):
        started = aws.start_browser_session(browserIdentifier=BROWSER, sessionTimeoutSeconds=2)
        with connect(stream(started)) as client:
            code, reason = closed(client)
        assert status(aws, started) == "TERMINATED"
        assert code == 1001 and reason.startswith("session ended: ") and "time" in reason, (code, reason)


def test_a_browser_that_is_killed_names_the_cause_to_its_clients_and_in_its_record(aws, server):
    started = aws.start_browser_session(browserIdentifier=BROWSER)
    with connect(stream(started)) as client:
        client.send('{"id": 1, "method": "Browser.getVersion"}')
        client.recv(timeout=60)
        for process in browsers(server):
            os.kill(process, signal.SIGKILL)
        code, reason = closed(client)
    assert code == 1001 and "killed by signal 9" in reason, (code, reason)
    assert status(aws, started) == "TERMINATED"
    record = json.load(urllib.request.urlopen(f"{server.url}/v1/sessions/{started['sessionId']}"))
    assert record["ended"] == "failed" and "killed by signal 9" in record["cause"], record
