"""Whatever clients and networks repeat, user code runs once. Each call leaves a mark in a file; the marks are counted."""

import concurrent.futures
import socket
import time
import uuid

import pytest

import door

MARK = "open('marks', 'a').write('x'); "


def marks(session) -> int:
    return len(session.read("marks"))


def test_a_repeated_request_gets_the_same_bytes_and_runs_nothing(session):
    arguments = {"code": MARK + "import os; print(os.urandom(8).hex())", "language": "python"}
    invocation = str(uuid.uuid4())
    first, second = (door.invoke(session.id, "executeCode", arguments, invocation) for _ in range(2))
    assert first.status == second.status == 200 and first.body == second.body
    assert marks(session) == 1


def test_requests_repeated_while_the_first_runs_share_its_answer(session):
    arguments = {"code": MARK + "import time; time.sleep(1); print('once')", "language": "python"}
    invocation = str(uuid.uuid4())
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: door.invoke(session.id, "executeCode", arguments, invocation), range(5)))
    assert len({answer.body for answer in answers}) == 1 and answers[0].status == 200
    assert marks(session) == 1


def test_other_calls_with_other_invocation_ids_run(session):
    for _ in range(3):
        door.invoke(session.id, "executeCode", {"code": MARK, "language": "python"})
    assert marks(session) == 3


def test_an_invocation_id_with_other_parameters_is_refused(session):
    invocation = str(uuid.uuid4())
    door.invoke(session.id, "executeCode", {"code": MARK, "language": "python"}, invocation)
    answer = door.invoke(session.id, "executeCode", {"code": MARK + "pass", "language": "python"}, invocation)
    assert (answer.status, answer.json()["reason"]) == (400, "IdempotentParameterMismatchException")
    assert marks(session) == 1


def test_the_same_invocation_id_in_another_session_is_another_call(start):
    invocation = str(uuid.uuid4())
    for session in (start(), start()):
        door.invoke(session.id, "executeCode", {"code": MARK, "language": "python"}, invocation)
        assert marks(session) == 1


@pytest.mark.parametrize(
    "tool, arguments",
    [
        ("executeCommand", {"command": "echo -n x >> marks; sleep 1.5; echo done"}),
        ("executeCode", {"code": MARK + "import time; time.sleep(1.5); print('done')", "language": "python"}),
    ],
)
def test_boto3s_retry_after_a_read_timeout_runs_nothing_twice(session, tool, arguments):
    session.aws = door.client(read_timeout=1, retries={"total_max_attempts": 3, "mode": "standard"})
    answer = session.invoke(tool, **arguments)
    assert answer["ResponseMetadata"]["RetryAttempts"] >= 1, "the client did not retry, so this shows nothing"
    [event] = answer["stream"]
    assert event["result"]["structuredContent"]["stdout"] == "done"
    session.aws = door.client()
    assert marks(session) == 1


def test_a_task_is_started_once_however_often_its_start_is_repeated(session):
    invocation = str(uuid.uuid4())
    answers = [
        door.invoke(session.id, "startCommandExecution", {"command": "echo -n x >> marks"}, invocation)
        for _ in range(3)
    ]
    assert len({answer.body for answer in answers}) == 1
    time.sleep(0.3)
    assert marks(session) == 1


def test_files_are_written_once_however_often_the_write_is_repeated(session):
    arguments, invocation = {"content": [{"path": "f", "text": "first"}]}, str(uuid.uuid4())
    door.invoke(session.id, "writeFiles", arguments, invocation)
    session.call("writeFiles", content=[{"path": "f", "text": "second"}])
    assert door.invoke(session.id, "writeFiles", arguments, invocation).status == 200
    assert session.read("f") == b"second"


def leave_in_the_middle(session, code: str) -> None:
    """Sends a call whole, waits for it to begin, and breaks the connection off."""
    connection = door.connect()
    connection.request(
        "POST",
        door.invoke_path(),
        door.json.dumps({"name": "executeCode", "arguments": {"code": code, "language": "python"}}),
        {"content-type": "application/json"} | door.invoke_headers(session.id),
    )
    deadline = time.monotonic() + 10
    while "marks" not in door.links(session.call("listFiles", path="")):
        assert time.monotonic() < deadline
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def test_a_client_that_leaves_in_the_middle_changes_nothing(session):
    leave_in_the_middle(session, MARK + "import time; time.sleep(0.7); kept = 'to its end'")
    # This call waits for its turn behind the one that nobody reads any more.
    assert session.output("print(kept)") == "to its end"
    assert marks(session) == 1


def test_a_request_that_breaks_off_in_its_body_runs_nothing(session):
    connection = door.connect()
    connection.putrequest("POST", door.invoke_path())
    for name, value in (
        door.invoke_headers(session.id) | {"content-type": "application/json", "content-length": "1000"}
    ).items():
        connection.putheader(name, value)
    connection.endheaders(b'{"name":"executeCommand","arguments":{"command":"echo -n x > marks"}}')
    connection.close()
    time.sleep(0.3)
    assert "marks" not in door.links(session.call("listFiles", path=""))
