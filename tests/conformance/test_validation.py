"""Every constraint of the service model is enforced by the server, also where clients do not check it."""

import json

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

import door
import model

BAD, GOOD = list(model.bad_cases()), list(model.good_cases())
# The model has them, and this server does not: they name AWS resources. Whatever is in them, they are refused by name.
NOT_OFFERED = ("certificates", "filesystemConfigurations")


@pytest.fixture(scope="module")
def careless():
    """Stock boto3 that sends what it is given, once."""
    return door.impatient(parameter_validation=False)


def answer_to(careless, case: model.Case) -> dict:
    """The error that a request gets. There is always one: the interpreter does not exist."""
    with pytest.raises(ClientError) as caught:
        getattr(careless, xform_name(case.operation))(**case.parameters)
    return caught.value.response


def assert_refused(response: dict, field: str):
    assert (
        response["Error"]["Code"] == "ValidationException" and response["ResponseMetadata"]["HTTPStatusCode"] == 400
    ), response
    assert response["reason"] == "FieldValidationFailed"
    assert [entry["name"] for entry in response["fieldList"]] == [field]
    assert all(entry["message"].strip() for entry in response["fieldList"]) and field in response["Error"]["Message"]


@pytest.mark.parametrize("case", [case for case in BAD if not case.large], ids=str)
def test_a_value_beyond_a_constraint_is_refused_by_the_name_of_its_member(careless, case):
    assert_refused(answer_to(careless, case), case.field)


@pytest.mark.parametrize("case", [case for case in GOOD if not case.large], ids=str)
def test_a_value_at_a_limit_passes(careless, case):
    response = answer_to(careless, case)
    if case.field.startswith(NOT_OFFERED):
        assert_refused(response, case.field.split("[")[0])
    elif case.field == "name" and case.operation == "InvokeCodeInterpreter" and case.what != "listFiles":
        # The other tools need arguments. That is no fault of the name.
        assert all(entry["name"].startswith("arguments") for entry in response["fieldList"])
    elif (
        case.field == "arguments.runtime"
        and case.what != "python"
        or case.field == "arguments.language"
        and case.what != "python"
    ):
        # Each is right by itself, and together with the default of the other it may contradict.
        assert response["Error"]["Code"] in ("ResourceNotFoundException", "ValidationException")
        assert {entry["name"] for entry in response.get("fieldList", [])} <= {"arguments.runtime"}
    elif (
        case.field in ("arguments.paths[0]", "arguments.content[0].path", "arguments.taskId")
        and case.what == "0 characters"
    ):
        # The model allows an empty text here; no file and no task has an empty name.
        assert_refused(response, case.field)
    else:
        assert response["Error"]["Code"] == "ResourceNotFoundException", response


@pytest.mark.parametrize("case", [case for case in BAD if case.large], ids=str)
def test_a_hundred_million_and_one_characters_are_refused_by_the_name_of_their_member(careless, case):
    assert_refused(answer_to(careless, case), case.field)


@pytest.mark.parametrize(
    "case", [case for case in GOOD if case.large and case.field.endswith(("code", "command", "text", "blob"))], ids=str
)
def test_a_hundred_million_characters_pass(careless, case):
    assert answer_to(careless, case)["Error"]["Code"] == "ResourceNotFoundException"


def test_the_model_has_been_walked_whole():
    """Guards the generator: these are the constraints that a reader of the model finds."""
    seen = {(case.operation.removesuffix("CodeInterpreterSession"), case.field, case.what) for case in BAD}
    for expected in [
        ("Start", "name", "101 characters"),
        ("Start", "name", "0 characters"),
        ("Start", "sessionTimeoutSeconds", "28801"),
        ("Start", "sessionTimeoutSeconds", "0"),
        ("Start", "clientToken", "32 characters"),
        ("Start", "clientToken", "257 characters"),
        ("Start", "clientToken", "not the pattern"),
        ("Start", "certificates", "0 entries"),
        ("Start", "certificates", "201 entries"),
        ("Start", "certificates[0].location", "no member of the union"),
        ("Start", "certificates[0].location.secretsManager.secretArn", "not the pattern"),
        ("Start", "filesystemConfigurations", "11 entries"),
        ("Start", "filesystemConfigurations[0]", "two members of the union"),
        ("Start", "filesystemConfigurations[0].efsConfiguration.mountPath", "5 characters"),
        ("Start", "traceId", "1025 characters"),
        ("Get", "sessionId", "not the pattern"),
        ("Get", "sessionId", "absent"),
        ("Stop", "clientToken", "257 characters"),
        ("InvokeCodeInterpreter", "name", "no word of the enum"),
        ("InvokeCodeInterpreter", "sessionId", "not the pattern"),
        ("InvokeCodeInterpreter", "arguments.content[0].path", "absent"),
        ("InvokeCodeInterpreter", "arguments.content[0].blob", "100000001 bytes"),
        ("InvokeCodeInterpreter", "arguments.paths[0]", "100000001 characters"),
    ]:
        assert expected in seen
    assert len(BAD) > 100 and len(GOOD) > 60


@pytest.mark.parametrize(
    "operation, path, body, field",
    [
        ("PUT", "sessions/start", {"nonsense": 1}, "nonsense"),
        ("POST", "sessions/list", {"maxresults": 1}, "maxresults"),
        ("PUT", "sessions/stop?sessionId=A", {"force": True}, "force"),
        ("GET", "sessions/get?sessionId=A&tenant=x", None, "tenant"),
        ("GET", "sessions/get?sessionId=A&sessionId=B", None, "sessionId"),
        ("POST", "tools/invoke", {"name": "listFiles", "timeout": 1}, "timeout"),
        ("POST", "tools/invoke", {"name": "listFiles", "arguments": {"recursive": True}}, "arguments.recursive"),
        (
            "POST",
            "tools/invoke",
            {"name": "writeFiles", "arguments": {"content": [{"path": "a", "text": "", "mode": 1}]}},
            "arguments.content[0].mode",
        ),
        (
            "POST",
            "tools/invoke",
            {"name": "writeFiles", "arguments": {"content": [{"path": "a", "blob": "no base64!"}]}},
            "arguments.content[0].blob",
        ),
        ("POST", "tools/invoke", {"name": "writeFiles", "arguments": {"content": {}}}, "arguments.content"),
        ("POST", "tools/invoke", {"name": "executeCode", "arguments": {"code": ["1"]}}, "arguments.code"),
        ("POST", "tools/invoke", {"name": "executeCode", "arguments": []}, "arguments"),
    ],
)
def test_members_and_types_that_the_model_does_not_know_are_refused_by_name(operation, path, body, field):
    headers = door.invoke_headers("A") if path == "tools/invoke" else {}
    answer = door.request(operation, f"/code-interpreters/{model.INTERPRETER}/{path}", body, headers)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert [entry["name"] for entry in answer.json()["fieldList"]] == [field]


@pytest.mark.parametrize(
    "tool, argument",
    [
        ("executeCode", "code"),
        ("executeCommand", "command"),
        ("startCommandExecution", "command"),
        ("getTask", "taskId"),
        ("stopTask", "taskId"),
        ("readFiles", "paths"),
        ("removeFiles", "paths"),
        ("writeFiles", "content"),
    ],
)
def test_what_a_tool_needs_is_missed_by_name(careless, tool, argument):
    case = model.Case(
        "InvokeCodeInterpreter",
        f"arguments.{argument}",
        "absent",
        model.request("InvokeCodeInterpreter", ()) | {"name": tool, "arguments": {}},
    )
    assert_refused(answer_to(careless, case), case.field)


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a\0b", "x" * 256, "x/" * 2100])
@pytest.mark.parametrize("tool", ["readFiles", "writeFiles", "removeFiles"])
def test_paths_that_lead_out_or_can_be_no_file_are_refused_before_anything_runs(careless, tool, path):
    arguments, field = (
        ({"content": [{"path": path, "text": ""}]}, "content[0].path")
        if tool == "writeFiles"
        else ({"paths": [path]}, "paths[0]")
    )
    case = model.Case(
        "InvokeCodeInterpreter",
        f"arguments.{field}",
        "bad",
        model.request("InvokeCodeInterpreter", ()) | {"name": tool, "arguments": arguments},
    )
    assert_refused(answer_to(careless, case), case.field)


def test_several_mistakes_are_all_named_in_one_answer(careless):
    parameters = model.request("StartCodeInterpreterSession", ()) | {
        "name": "x" * 101,
        "sessionTimeoutSeconds": 0,
        "clientToken": "short",
    }
    response = answer_to(careless, model.Case("StartCodeInterpreterSession", "", "", parameters))
    assert {entry["name"] for entry in response["fieldList"]} == {"name", "sessionTimeoutSeconds", "clientToken"}


def test_a_long_list_of_mistakes_gives_a_short_answer():
    body = json.dumps({"name": "readFiles", "arguments": {"paths": [1] * 100_000}}).encode()
    answer = door.request(
        "POST", f"/code-interpreters/{model.INTERPRETER}/tools/invoke", body, door.invoke_headers("A")
    )
    assert answer.status == 400 and len(answer.body) < 64 * 1024


@pytest.mark.parametrize("identifier", ["!", "a b", "../x", "arn:aws:s3:::bucket", "x" * 3000])
def test_an_identifier_that_can_be_no_interpreter_is_refused_by_name(careless, identifier):
    parameters = {"codeInterpreterIdentifier": identifier}
    assert_refused(
        answer_to(careless, model.Case("StartCodeInterpreterSession", "", "", parameters)), "codeInterpreterIdentifier"
    )
