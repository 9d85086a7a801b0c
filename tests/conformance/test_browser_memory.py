"""The server's own memory, while clients and pages do what they can to fill it: bounded by [browsers] of the configuration."""

import json
import os
import pathlib
import re
import socket
import struct
import threading
import urllib.parse

import boto3
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from server import Server

BROWSER = "aws.browser.v1"
MIB = 1 << 20
# Of all sessions, and of one.
ALL, ONE = 96, 32
CLIENTS = 8
# The most that a client may send, and less than half of what eight of them would take.
MESSAGE = 64 * MIB
# Answers that each client asks for, and their length.
CALLS, LONG = 20, 4 * MIB
# What the server itself, its allocator and its sockets may take beside the budget.
BESIDE = 96


@pytest.fixture(scope="module")
def small():
    """A server with little memory for CDP, and a boto3 that knows it."""
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write(f"[browsers]\nmemory_mib = {ALL}\nsession_memory_mib = {ONE}\n")
        config.flush()
        with Server("--pool", "0", "--no-auth", "--config", config.name) as server:
            environment = server.environment()
            before = dict(os.environ)
            os.environ.update(environment)
            try:
                yield server, boto3.client("bedrock-agentcore")
            finally:
                os.environ.clear()
                os.environ.update(before)


@pytest.fixture
def endpoint(small):
    """Starts a session and gives its stream's URL."""
    _, aws = small
    started = []

    def start() -> str:
        answer = aws.start_browser_session(browserIdentifier=BROWSER)
        started.append(answer["sessionId"])
        return answer["streams"]["automationStream"]["streamEndpoint"]

    yield start
    for session in started:
        aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session)


def peak(server) -> int:
    """The most memory that the server has had since the last reset, in MiB."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) // 1024


def reset(server) -> int:
    """Forgets the peak; gives what there is now, in MiB."""
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak(server)


def hand_made(url: str) -> socket.socket:
    """A WebSocket without a library: one that can stop in the middle of a frame."""
    where = urllib.parse.urlsplit(url)
    client = socket.create_connection((where.hostname, where.port))
    client.sendall(
        f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert b" 101 " in head, head
    return client


def flood(client: socket.socket) -> None:
    """All but the end of one message of the largest size; ends early when the server has had enough."""
    try:
        client.sendall(b"\x81\xff" + struct.pack(">Q", MESSAGE) + b"\0\0\0\0")
        for _ in range(MESSAGE // MIB - 1):
            client.sendall(b" " * MIB)
    except OSError:
        pass


def close_code(client: socket.socket) -> tuple[int, str]:
    """What the close frame of a client that was told to go says; (0, "") without one."""
    client.settimeout(10)
    said = b""
    try:
        while more := client.recv(4096):
            said += more
    except OSError:
        pass
    at = said.rfind(b"\x88")
    return (int.from_bytes(said[at + 2 : at + 4]), said[at + 4 :].decode()) if at >= 0 else (0, "")


def test_clients_that_send_without_end_are_closed_with_a_reason_and_the_server_stays_small(small, endpoint):
    server, _ = small
    urls = [endpoint(), endpoint()]
    base = reset(server)
    clients = [hand_made(urls[number % 2]) for number in range(CLIENTS)]
    floods = [threading.Thread(target=flood, args=(client,)) for client in clients]
    for thread in floods:
        thread.start()
    for thread in floods:
        thread.join()
    grown = peak(server) - base
    # Without the budget all of it would be there: CLIENTS * MESSAGE.
    assert grown < ALL + BESIDE < CLIENTS * MESSAGE // MIB // 2, f"{grown} MiB"
    said = [close_code(client) for client in clients]
    assert all(code == 1013 and "is used up" in reason for code, reason in said), said
    for client in clients:
        client.close()
    # The budget is whole again.
    with connect(urls[0], max_size=None) as again:
        assert evaluated(again, "'x'.repeat(5 << 20).length") == 5 * MIB


def test_what_waits_for_clients_that_do_not_read_is_bounded_over_all_of_them(small, endpoint):
    server, _ = small
    urls = [endpoint() for _ in range(4)]
    base = reset(server)
    clients = [connect(urls[number % 4], max_size=None, max_queue=1, ping_interval=None) for number in range(CLIENTS)]
    for client in clients:
        attach(client)
    for client in clients:
        # Nobody reads the answers yet.
        for number in range(100, 100 + CALLS):
            client.send(command(number, "Runtime.evaluate", client.page, expression=f"'x'.repeat({LONG})"))
    refused, closed = 0, []
    for client in clients:
        try:
            for _ in range(CALLS):
                refused += "is used up" in json.loads(client.recv(timeout=60)).get("error", {}).get("message", "")
        except ConnectionClosed as end:
            closed.append((end.rcvd.code, end.rcvd.reason))
    grown = peak(server) - base
    assert grown < ALL + BESIDE < CLIENTS * CALLS * LONG // MIB // 2, f"{grown} MiB"
    assert refused or closed, "somebody must have been refused"
    assert all(code in (1013, 4008) for code, _ in closed), closed
    for client in clients:
        client.close_socket()


def command(number: int, method: str, session: str | None = None, **params) -> str:
    message = {"id": number, "method": method, "params": params}
    return json.dumps(message | ({"sessionId": session} if session else {}))


def answer(client, number: int) -> dict:
    while True:
        message = json.loads(client.recv(timeout=60))
        if message.get("id") == number:
            return message["result"]


def attach(client) -> None:
    client.send(command(1, "Target.getTargets"))
    target = next(info for info in answer(client, 1)["targetInfos"] if info["type"] == "page")
    client.send(command(2, "Target.attachToTarget", targetId=target["targetId"], flatten=True))
    client.page = answer(client, 2)["sessionId"]


def evaluated(client, expression: str):
    attach(client)
    client.send(command(3, "Runtime.evaluate", client.page, expression=expression))
    return answer(client, 3)["result"]["value"]
