"""The life of a session: start, get, list, stop, its time, its names."""

import datetime
import time
import uuid

import pytest

import door

ARN = "arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/aws.codeinterpreter.v1"


def where(session) -> dict:
    return {"codeInterpreterIdentifier": session.interpreter, "sessionId": session.id}


def walk(aws, interpreter, **query):
    """Every page of a list."""
    token = {}
    while True:
        page = aws.list_code_interpreter_sessions(codeInterpreterIdentifier=interpreter, **query, **token)
        yield page["items"]
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}


def test_a_session_is_what_its_start_asked_for(aws, start):
    session = start(name="a name with spaces, é", sessionTimeoutSeconds=120)
    got = aws.get_code_interpreter_session(**where(session))
    assert (got["name"], got["sessionTimeoutSeconds"], got["status"]) == ("a name with spaces, é", 120, "READY")
    assert (got["sessionId"], got["codeInterpreterIdentifier"]) == (session.id, door.INTERPRETER)
    age = datetime.datetime.now(datetime.timezone.utc) - got["createdAt"]
    assert datetime.timedelta(0) <= age < datetime.timedelta(seconds=30)


def test_the_default_life_is_900_seconds_and_a_session_needs_no_name(aws, start):
    got = aws.get_code_interpreter_session(**where(start()))
    assert got["sessionTimeoutSeconds"] == 900 and "name" not in got


def test_session_ids_look_like_those_of_the_service(start):
    first, second = start().id, start().id
    assert first != second
    for one in (first, second):
        assert len(one) == 26 and one.isalnum() and one == one.upper()


def test_names_are_not_unique(start):
    assert start(name="same").id != start(name="same").id


def test_a_stopped_session_is_terminated_stays_known_and_takes_no_calls(aws, start):
    session = start()
    stopped = aws.stop_code_interpreter_session(**where(session))
    assert (stopped["sessionId"], stopped["codeInterpreterIdentifier"]) == (session.id, door.INTERPRETER)
    assert aws.get_code_interpreter_session(**where(session))["status"] == "TERMINATED"
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        session.python("1")


def test_stopping_twice_succeeds_and_changes_nothing(aws, start):
    session = start()
    first = aws.stop_code_interpreter_session(**where(session))
    second = aws.stop_code_interpreter_session(**where(session))
    assert first["lastUpdatedAt"] == second["lastUpdatedAt"]


def test_a_session_ends_when_its_time_is_up_whatever_runs(aws, start):
    session = start(sessionTimeoutSeconds=1)
    session.call("startCommandExecution", command="sleep 60")
    deadline = time.monotonic() + 5
    while aws.get_code_interpreter_session(**where(session))["status"] == "READY":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        session.python("1")


def test_an_arn_means_the_same_interpreter_and_is_echoed_as_written(aws):
    started = aws.start_code_interpreter_session(codeInterpreterIdentifier=ARN)
    assert started["codeInterpreterIdentifier"] == ARN
    try:
        for name in (ARN, door.INTERPRETER):
            got = aws.get_code_interpreter_session(codeInterpreterIdentifier=name, sessionId=started["sessionId"])
            assert got["codeInterpreterIdentifier"] == name
            answer = aws.invoke_code_interpreter(
                codeInterpreterIdentifier=name,
                sessionId=started["sessionId"],
                name="executeCommand",
                arguments={"command": "echo x"},
            )
            [event] = answer["stream"]
            assert event["result"]["structuredContent"]["stdout"] == "x"
    finally:
        aws.stop_code_interpreter_session(codeInterpreterIdentifier=ARN, sessionId=started["sessionId"])


def test_the_arn_of_a_custom_interpreter_means_that_one(start):
    custom = f"arn:aws:bedrock-agentcore:eu-central-1:123456789012:code-interpreter-custom/{door.QUICK}"
    assert start(custom).output("print(1)") == "1"


# Client tokens


def token() -> str:
    return str(uuid.uuid4())


def test_a_repeated_client_token_gives_the_same_session(aws, start):
    again = {"clientToken": token(), "name": "once", "sessionTimeoutSeconds": 300}
    first = start(**again)
    first.python("kept = 1")
    second = start(**again)
    assert second.id == first.id and second.output("print(kept)") == "1"


def test_the_same_token_under_the_other_spelling_of_the_interpreter_gives_the_same_session(start):
    same = token()
    assert start(clientToken=same).id == start(ARN, clientToken=same).id


@pytest.mark.parametrize("other", [{"name": "two"}, {"sessionTimeoutSeconds": 301}, {}])
def test_a_client_token_with_other_parameters_is_refused_with_its_reason(aws, start, other):
    same = token()
    start(clientToken=same, name="one")
    with pytest.raises(aws.exceptions.ValidationException) as refused:
        start(clientToken=same, **other)
    assert refused.value.response["reason"] == "IdempotentParameterMismatchException"


def test_the_client_token_of_another_interpreter_is_another_token_or_refused_and_never_the_same_session(aws, start):
    same = token()
    first = start(clientToken=same)
    try:
        assert start(door.QUICK, clientToken=same).id != first.id
    except aws.exceptions.ValidationException as refused:
        assert refused.response["reason"] == "IdempotentParameterMismatchException"


# Lists


@pytest.fixture(scope="module")
def twelve(aws):
    """Twelve sessions of an interpreter that no other test uses; the first three are stopped."""
    sessions = [door.Session(aws, door.PAGING, name=f"page-{index}") for index in range(12)]
    for session in sessions[:3]:
        session.stop()
    yield sessions
    for session in sessions[3:]:
        session.stop()


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_pages_hold_every_session_once_and_are_full(aws, twelve, size):
    pages = list(walk(aws, door.PAGING, maxResults=size))
    ids = [item["sessionId"] for page in pages for item in page]
    assert sorted(ids) == sorted(session.id for session in twelve)
    assert all(len(page) == size for page in pages[:-1]) and len(pages[-1]) <= size


def test_a_page_holds_ten_sessions_unless_another_number_is_asked_for(aws, twelve):
    assert [len(page) for page in walk(aws, door.PAGING)] == [10, 2]


@pytest.mark.parametrize("status, expected", [("READY", slice(3, None)), ("TERMINATED", slice(3))])
def test_a_list_can_be_filtered_by_status(aws, twelve, status, expected):
    items = [item for page in walk(aws, door.PAGING, status=status, maxResults=2) for item in page]
    assert {item["sessionId"] for item in items} == {session.id for session in twelve[expected]}
    assert {item["status"] for item in items} == {status}


def test_an_item_says_what_the_session_is(aws, twelve):
    items = {item["sessionId"]: item for page in walk(aws, door.PAGING) for item in page}
    item = items[twelve[0].id]
    assert (item["name"], item["status"], item["codeInterpreterIdentifier"]) == ("page-0", "TERMINATED", door.PAGING)
    assert item["lastUpdatedAt"] >= item["createdAt"]


def test_a_cursor_that_was_changed_or_is_used_elsewhere_is_refused(aws, twelve):
    page = aws.list_code_interpreter_sessions(codeInterpreterIdentifier=door.PAGING, maxResults=2)
    good = page["nextToken"]
    flipped = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
    for interpreter, query in [
        (door.PAGING, {"nextToken": flipped}),
        (door.PAGING, {"nextToken": twelve[0].id}),
        (door.PAGING, {"nextToken": good, "status": "READY"}),
        (door.INTERPRETER, {"nextToken": good}),
    ]:
        with pytest.raises(aws.exceptions.ValidationException) as refused:
            aws.list_code_interpreter_sessions(codeInterpreterIdentifier=interpreter, **query)
        assert [field["name"] for field in refused.value.response["fieldList"]] == ["nextToken"]


def test_sessions_of_one_interpreter_are_not_reached_or_listed_under_another(aws, start):
    session = start(door.QUICK)
    assert session.id not in {
        item["sessionId"] for page in walk(aws, door.INTERPRETER, maxResults=100) for item in page
    }
    other = {"codeInterpreterIdentifier": door.INTERPRETER, "sessionId": session.id}
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_code_interpreter_session(**other)
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.stop_code_interpreter_session(**other)
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.invoke_code_interpreter(**other, name="executeCommand", arguments={"command": "true"})
