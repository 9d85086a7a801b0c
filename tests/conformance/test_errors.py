"""Errors: the modelled class, its status, and what it says.

ServiceQuotaExceededException (1,000 sessions at once) and InternalServerException (a broken server) are left to the tests of the
gateway, which can bring them about without a thousand sandboxes.
"""

import concurrent.futures
import re
import time

import boto3
import pytest
from botocore.exceptions import ClientError

import door

NOBODY = "01K00Z3F8WZ9KBBW4QGRJCVBHH"


def refused(exception, status: int, call, **arguments) -> dict:
    """The answer of a call that must be refused with a modelled exception."""
    with pytest.raises(exception) as caught:
        call(**arguments)
    response = caught.value.response
    assert type(caught.value).__name__ == response["Error"]["Code"], "the class is not the modelled one"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Message"].strip() and response["ResponseMetadata"]["RequestId"]
    return response


@pytest.mark.parametrize(
    "operation", ["get_code_interpreter_session", "stop_code_interpreter_session", "invoke_code_interpreter"]
)
def test_an_unknown_session_is_not_found(aws, operation):
    arguments = {"codeInterpreterIdentifier": door.INTERPRETER, "sessionId": NOBODY}
    if operation == "invoke_code_interpreter":
        arguments |= {"name": "executeCommand", "arguments": {"command": "true"}}
    response = refused(aws.exceptions.ResourceNotFoundException, 404, getattr(aws, operation), **arguments)
    assert NOBODY in response["Error"]["Message"]


@pytest.mark.parametrize("operation", ["start_code_interpreter_session", "list_code_interpreter_sessions"])
def test_an_unknown_interpreter_is_not_found(aws, operation):
    response = refused(
        aws.exceptions.ResourceNotFoundException,
        404,
        getattr(aws, operation),
        codeInterpreterIdentifier="nobody-abcdefghij",
    )
    assert "nobody-abcdefghij" in response["Error"]["Message"]


def test_what_the_policy_forbids_is_denied_and_the_answer_names_the_rule(aws, start):
    session = start(door.PINCHED)
    for tool, arguments, rule in [
        ("executeCommand", {"command": "true"}, "languages.shell"),
        ("startCommandExecution", {"command": "true"}, "languages.shell"),
        ("executeCode", {"code": "1", "language": "javascript", "runtime": "nodejs"}, "languages.runtimes"),
    ]:
        response = refused(aws.exceptions.AccessDeniedException, 403, lambda: session.call(tool, **arguments))
        assert "pinched" in response["Error"]["Message"] and rule in response["Error"]["Message"]


def test_a_call_whose_session_is_stopped_meanwhile_is_a_conflict(start):
    aws = door.impatient()
    session = start()
    session.aws = aws
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(session.python, "open('running', 'w').close()\nimport time; time.sleep(30)")
        while "running" not in door.links(session.call("listFiles", path="")):
            time.sleep(0.02)
        session.stop()
        with pytest.raises(aws.exceptions.ConflictException) as caught:
            call.result()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert "stopped" in caught.value.response["Error"]["Message"]


def test_more_calls_than_a_session_keeps_waiting_are_throttled_and_the_others_run(start):
    aws = door.impatient(max_pool_connections=100)
    session = start()
    session.aws = aws
    with concurrent.futures.ThreadPoolExecutor(90) as pool:
        first = pool.submit(session.python, "import time; time.sleep(2)")
        calls = [pool.submit(session.shell, "echo -n x >> count") for _ in range(80)]
        first.result()
        problems = [problem for call in calls if (problem := call.exception())]
    assert problems and {type(problem) for problem in problems} == {aws.exceptions.ThrottlingException}
    assert {problem.response["ResponseMetadata"]["HTTPStatusCode"] for problem in problems} == {429}
    assert len(session.read("count")) == len(calls) - len(problems)


def test_stock_boto3_waits_and_tries_again_when_it_is_throttled(session):
    """Retries are what the modelled class is for: with them, far more calls than fit all succeed."""
    session.aws = door.client(max_pool_connections=100, retries={"total_max_attempts": 10, "mode": "standard"})
    with concurrent.futures.ThreadPoolExecutor(90) as pool:
        calls = [pool.submit(session.shell, "echo -n x >> count") for _ in range(90)]
        assert all(call.result()["isError"] is False for call in calls)
    assert len(session.read("count")) == 90


def test_an_operation_that_is_not_offered_answers_a_typed_error(aws):
    control = boto3.client("bedrock-agentcore-control")
    for call, arguments in [
        (
            aws.save_browser_session_profile,
            {"profileIdentifier": "profile-abcdefghij", "browserIdentifier": "aws.browser.v1", "sessionId": "s"},
        ),
        (aws.list_events, {"memoryId": "memory-abcdefghij", "sessionId": "s", "actorId": "a"}),
        (control.list_memories, {}),
    ]:
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        response = caught.value.response
        assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
            "UnknownOperationException",
            501,
        )


def test_a_path_that_is_no_operation_answers_a_typed_error():
    answer = door.request("PUT", "/code-interpreters/x/sessions/begin", {})
    assert answer.status == 404 and answer.headers["x-amzn-errortype"] == "UnknownOperationException"
    assert answer.json()["message"]


def test_an_invocation_without_a_session_names_the_missing_member(aws):
    with pytest.raises(aws.exceptions.ValidationException) as caught:
        aws.invoke_code_interpreter(codeInterpreterIdentifier=door.INTERPRETER, name="listFiles", arguments={})
    assert [field["name"] for field in caught.value.response["fieldList"]] == ["sessionId"]


def test_a_body_that_is_no_json_cannot_be_parsed():
    path = f"/code-interpreters/{door.INTERPRETER}/sessions/list"
    for body in (b"{", b"[]", b"nonsense", b'{"a":1}{', b'{"maxResults":\xff}'):
        answer = door.request("POST", path, body)
        assert (answer.status, answer.headers["x-amzn-errortype"], answer.json()["reason"]) == (
            400,
            "ValidationException",
            "CannotParse",
        ), body


def test_what_the_kernel_refuses_is_named_by_rule_and_id_in_the_text_that_agents_read(session):
    calls = [
        session.python("open('/etc/x', 'w')"),
        session.shell("touch /etc/x"),
        session.call("writeFiles", content=[{"path": "/etc/x", "text": "x"}]),
        session.call("executeCode", language="javascript", code="require('fs').writeFileSync('/etc/x', 'x')"),
    ]
    texts = [door.text(result) for result in calls]
    ids = [re.search(r"cloister refused a change in /etc: .*\(rule filesystem\.workspace, denial (den_[0-9A-Z]{26})\)", text) for text in texts]
    assert all(ids), texts
    assert all(result["isError"] for result in calls), calls
    # One refusal, however it was tried.
    assert len({found[1] for found in ids}) == 1, texts
    stderr = calls[0]["structuredContent"]["stderr"]
    assert "Read-only file system: '/etc/x'" in stderr and ids[0][1] in stderr, stderr
    # A command that goes on all the same: its own words are the answer, and the rule stands beside its error.
    went_on = session.shell("touch /etc/x; echo went on")
    assert door.text(went_on) == "went on" and ids[0][1] in went_on["structuredContent"]["stderr"], went_on
