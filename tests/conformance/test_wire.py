"""What goes over the wire, held against the service model: no member that it lacks, none missing that it requires."""

import re
import time
import urllib.parse

import pytest

import door
import model

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def differences(shape, value, path="") -> list[str]:
    """Where a JSON value differs from a shape of the model."""
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                return [f"{path}: not an object"]
            found = [f"{path}.{name}: unknown" for name in value if name not in shape.members]
            found += [f"{path}.{name}: missing" for name in shape.required_members if name not in value]
            return found + [
                d
                for name, inner in value.items()
                if name in shape.members
                for d in differences(shape.members[name], inner, f"{path}.{name}")
            ]
        case "list":
            return [
                d for index, inner in enumerate(value) for d in differences(shape.member, inner, f"{path}[{index}]")
            ]
        case "string":
            right = isinstance(value, str) and value in (getattr(shape, "enum", None) or [value])
            return (
                []
                if right and re.fullmatch(shape.metadata.get("pattern", "(?s:.*)"), value)
                else [f"{path}: {value!r}"]
            )
        case "timestamp":
            return [] if TIMESTAMP.fullmatch(value) else [f"{path}: {value!r}"]
        case "integer" | "long":
            return [] if type(value) is int else [f"{path}: {value!r}"]
        case "double":
            return [] if type(value) in (int, float) else [f"{path}: {value!r}"]
        case "boolean":
            return [] if type(value) is bool else [f"{path}: {value!r}"]
        case "blob":
            return [] if isinstance(value, str) and len(value) % 4 == 0 else [f"{path}: {value!r}"]
    raise NotImplementedError(shape.type_name)


def output(operation: str):
    return model.SERVICE.operation_model(operation).output_shape


def path(rest: str, interpreter: str = door.INTERPRETER) -> str:
    return f"/code-interpreters/{urllib.parse.quote(interpreter, safe='')}/{rest}"


def test_the_answers_about_sessions_have_the_models_shape():
    started = door.request("PUT", path("sessions/start"), {"name": "wire"})
    session = started.json()["sessionId"]
    answers = {
        "StartCodeInterpreterSession": started,
        "GetCodeInterpreterSession": door.request("GET", path(f"sessions/get?sessionId={session}")),
        "ListCodeInterpreterSessions": door.request("POST", path("sessions/list"), {"maxResults": 1}),
        "StopCodeInterpreterSession": door.request("PUT", path(f"sessions/stop?sessionId={session}"), {}),
    }
    for operation, answer in answers.items():
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), operation
        assert answer.headers["x-amzn-requestid"]
        assert differences(output(operation), answer.json()) == [], operation


@pytest.mark.parametrize(
    "tool, arguments",
    [
        (
            "executeCode",
            {
                "code": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('f.png'); plt.show()",
                "language": "python",
            },
        ),
        ("executeCode", {"code": "1/0", "language": "python"}),
        ("executeCommand", {"command": "echo x"}),
        ("writeFiles", {"content": [{"path": "a", "text": "a"}]}),
        ("readFiles", {"paths": ["a", "f.png", "missing"]}),
        ("listFiles", {}),
        ("startCommandExecution", {"command": "true"}),
        ("getTask", {"taskId": "unknown"}),
        ("removeFiles", {"paths": ["a"]}),
    ],
)
def test_a_tools_answer_is_one_result_event_in_the_models_shape(shared, tool, arguments):
    answer = door.invoke(shared.id, tool, arguments)
    assert answer.status == 200 and answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["x-amzn-code-interpreter-session-id"] == shared.id and answer.headers["x-amzn-requestid"]
    [(headers, payload)] = answer.messages()
    assert headers == {":event-type": "result", ":content-type": "application/json", ":message-type": "event"}
    assert differences(output("InvokeCodeInterpreter").members["stream"].members["result"], payload) == []


def test_an_error_has_its_name_in_the_header_and_the_models_shape_in_the_body():
    refused = door.request("POST", path("sessions/list"), {"maxResults": 0})
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert differences(model.SERVICE.shape_for("ValidationException"), refused.json()) == []
    missing = door.request("GET", path("sessions/get?sessionId=nobody"))
    assert (missing.status, missing.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException")
    assert differences(model.SERVICE.shape_for("ResourceNotFoundException"), missing.json()) == []


def test_the_session_id_of_an_answer_is_in_boto3s_answer_too(shared):
    assert shared.invoke("listFiles")["sessionId"] == shared.id


def test_small_answers_are_not_held_back_by_the_network(shared):
    """Without TCP_NODELAY every answer waits 40 ms for an acknowledgement."""
    seconds = []
    for _ in range(20):
        began = time.monotonic()
        shared.call("listFiles")
        seconds.append(time.monotonic() - began)
    assert sorted(seconds)[10] < 0.03
