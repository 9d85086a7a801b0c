"""Browser sessions as stock boto3 sees them: start, get, list, stop, streams, and what is refused."""

import uuid

import pytest
from botocore.exceptions import ClientError

BROWSER = "aws.browser.v1"


@pytest.fixture
def browse(aws):
    """Starts browser sessions; all are stopped when the test ends."""
    started = []

    def browse(**options) -> dict:
        answer = aws.start_browser_session(browserIdentifier=BROWSER, **options)
        started.append(answer["sessionId"])
        return answer

    yield browse
    for session in started:
        aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=session)


def where(answer) -> dict:
    return {"browserIdentifier": BROWSER, "sessionId": answer["sessionId"]}


def fields(error) -> list:
    return [field["name"] for field in error.value.response["fieldList"]]


def test_a_browser_session_is_what_its_start_asked_for(aws, browse):
    started = browse(name="é", viewPort={"width": 1000, "height": 700}, sessionTimeoutSeconds=600)
    got = aws.get_browser_session(**where(started))
    assert (got["name"], got["status"], got["sessionTimeoutSeconds"]) == ("é", "READY", 600)
    assert (got["viewPort"], got["streams"]) == ({"width": 1000, "height": 700}, started["streams"])
    stream = started["streams"]["automationStream"]
    assert stream["streamStatus"] == "ENABLED" and stream["streamEndpoint"].startswith("ws://")


def test_the_default_life_is_an_hour(aws, browse):
    assert aws.get_browser_session(**where(browse()))["sessionTimeoutSeconds"] == 3600


def test_a_client_token_starts_one_browser(browse):
    token = str(uuid.uuid4())
    assert browse(clientToken=token)["sessionId"] == browse(clientToken=token)["sessionId"]
    with pytest.raises(ClientError) as error:
        browse(clientToken=token, name="another")
    assert error.value.response["reason"] == "IdempotentParameterMismatchException"


def test_a_stopped_session_stays_on_record_and_can_be_stopped_again(aws, browse):
    session = where(browse())
    for _ in range(2):
        assert aws.stop_browser_session(**session)["sessionId"] == session["sessionId"]
    assert aws.get_browser_session(**session)["status"] == "TERMINATED"
    listed = aws.list_browser_sessions(browserIdentifier=BROWSER, status="TERMINATED", maxResults=100)["items"]
    assert session["sessionId"] in [item["sessionId"] for item in listed]


def test_control_is_taken_and_given_back(aws, browse):
    session = where(browse())
    for status in ("DISABLED", "ENABLED"):
        update = {"automationStreamUpdate": {"streamStatus": status}}
        answer = aws.update_browser_stream(**session, streamUpdate=update)
        assert answer["streams"]["automationStream"]["streamStatus"] == status


def test_limits_are_the_servers_to_enforce(aws, browse):
    with pytest.raises(aws.exceptions.ValidationException) as error:
        browse(viewPort={"width": 5000, "height": 100_000})
    assert fields(error) == ["viewPort.width", "viewPort.height"]
    with pytest.raises(aws.exceptions.ValidationException) as error:
        browse(extensions=[{"location": {"s3": {"bucket": "bucket", "prefix": "x"}}}])
    assert fields(error) == ["extensions"]
    session = where(browse(viewPort={"width": 800, "height": 600}))
    with pytest.raises(aws.exceptions.ValidationException) as error:
        aws.invoke_browser(**session, action={"mouseClick": {"x": 800, "y": 10}})
    assert fields(error) == ["action.mouseClick.x"]


def test_what_is_not_there_is_not_found(aws, start):
    for identifier, session in ((BROWSER, "X" * 26), ("nobodys-abcdefghij", "X" * 26), (BROWSER, start().id)):
        with pytest.raises(aws.exceptions.ResourceNotFoundException):
            aws.get_browser_session(browserIdentifier=identifier, sessionId=session)
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.start_browser_session(browserIdentifier="aws.codeinterpreter.v1")
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.start_code_interpreter_session(codeInterpreterIdentifier=BROWSER)
