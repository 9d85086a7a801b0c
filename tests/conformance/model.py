"""Requests made from botocore's service model: for every member of every operation one request just beyond each of its constraints,
and one at each of its limits.

    input shape ─▶ walk(path, shape) ─▶ Case(operation, path of the member, what is wrong, parameters)

Client-side validation is off in the tests, so that the requests leave the client as they are written here.
"""

import copy
import dataclasses
import itertools
import re

import botocore.session

SERVICE = botocore.session.get_session().get_service_model("bedrock-agentcore")
OPERATIONS = [
    "StartCodeInterpreterSession",
    "GetCodeInterpreterSession",
    "ListCodeInterpreterSessions",
    "StopCodeInterpreterSession",
    "InvokeCodeInterpreter",
]
BROWSER_OPERATIONS = [
    "StartBrowserSession",
    "GetBrowserSession",
    "ListBrowserSessions",
    "StopBrowserSession",
    "UpdateBrowserStream",
    "InvokeBrowser",
]
# Nobody has it: what passes the checks ends in ResourceNotFoundException, and nothing is ever started by mistake.
INTERPRETER = "nobody-abcdefghij"

# One text that each pattern of the model takes, by the name of the shape.
EXAMPLES = {
    "SecretArn": "arn:aws:secretsmanager:us-west-2:123456789012:secret:x",
    "S3FilesAccessPointArn": f"arn:aws:s3files:us-west-2:123456789012:file-system/fs-{'0' * 17}/access-point/fsap-{'0' * 17}",
    "S3FilesFileSystemArn": f"arn:aws:s3files:us-west-2:123456789012:file-system/fs-{'0' * 17}",
    "EfsAccessPointArn": f"arn:aws:elasticfilesystem:us-west-2:123456789012:access-point/fsap-{'0' * 17}",
    "EfsFileSystemArn": f"arn:aws:elasticfilesystem:us-west-2:123456789012:file-system/fs-{'0' * 17}",
    "MountPath": "/mnt/x",
    "ClientToken": "0" * 33,
    "CodeInterpreterSessionId": "01K00Z3F8WZ9KBBW4QGRJCVBHH",
    "BrowserSessionId": "01K00Z3F8WZ9KBBW4QGRJCVBHH",
    "BrowserProfileId": "profile-abcdefghij",
    "S3LocationBucketString": "bucket",
    "HostName": "proxy.example.com",
    "DomainPattern": ".example.com",
    "NextToken": "x",
}
# A tool that takes each argument: to another one it would be a mistake of its own.
TOOLS = {
    "code": "executeCode",
    "language": "executeCode",
    "clearContext": "executeCode",
    "runtime": "executeCode",
    "command": "executeCommand",
    "path": "listFiles",
    "directoryPath": "listFiles",
    "paths": "readFiles",
    "content": "writeFiles",
    "taskId": "getTask",
}
# What the tools need besides.
COMPANIONS = {"executeCode": {"code": ""}, "writeFiles": {}}
# Texts of this length are sent by tests of their own: a hundred megabytes each.
LARGE = 1_000_000


@dataclasses.dataclass
class Case:
    operation: str
    # As fieldList names it: `arguments.content[0].path`.
    field: str
    what: str
    parameters: dict

    def __str__(self) -> str:
        return f"{self.operation}-{self.field}-{self.what}".replace(" ", "_")

    @property
    def large(self) -> bool:
        return "100000" in self.what


def smallest(shape):
    """A value that satisfies a shape and says as little as possible."""
    match shape.type_name:
        case "structure":
            names = shape.required_members
            if getattr(shape, "is_tagged_union", False):
                names = list(shape.members)[:1]
            if shape.name == "InputContentBlock":
                return {"path": "x", "text": ""}
            return {name: smallest(shape.members[name]) for name in names}
        case "list":
            return [smallest(shape.member)] * max(shape.metadata.get("min", 0), 1)
        case "string" if getattr(shape, "enum", None):
            return shape.enum[0]
        case "string":
            return EXAMPLES.get(shape.name) or "x" * max(shape.metadata.get("min", 0), 1)
        case "integer":
            return shape.metadata.get("min", 0)
        case "boolean":
            return False
        case "blob":
            return b""
    raise NotImplementedError(shape.type_name)


def beyond(shape):
    """Values just beyond each constraint of a shape, with a word for each."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "string" if getattr(shape, "enum", None):
            yield "no word of the enum", "nonsense"
            yield (
                "a word of the enum in capitals" if shape.enum[0].islower() else "a word of the enum in small letters"
            ), shape.enum[0].swapcase()
        case "string":
            if least:
                yield f"{least - 1} characters", (EXAMPLES.get(shape.name) or "x")[:1] * (least - 1)
            if most:
                yield f"{most + 1} characters", "a" * (most + 1)
            if pattern := shape.metadata.get("pattern"):
                yield "not the pattern", outside(pattern, least or 1)
                if shape.name in EXAMPLES and not re.fullmatch(pattern, EXAMPLES[shape.name] + "!"):
                    yield "the pattern and more", EXAMPLES[shape.name] + "!"
        case "integer":
            if least is not None:
                yield f"{least - 1}", least - 1
            if most is not None:
                yield f"{most + 1}", most + 1
            yield "a fraction", (least or 0) + 0.5
        case "list":
            if least:
                yield f"{least - 1} entries", [smallest(shape.member)] * (least - 1)
            if most:
                yield f"{most + 1} entries", [smallest(shape.member)] * (most + 1)
        case "blob":
            if most:
                yield f"{most + 1} bytes", bytes(most + 1)
        case "structure" if getattr(shape, "is_tagged_union", False):
            yield "no member of the union", {}
            if len(shape.members) > 1:
                yield "two members of the union", {name: smallest(member) for name, member in shape.members.items()}
    if shape.serialization.get("location") not in ("uri", "header", "querystring"):
        wrong = {"string": 7, "integer": "7", "boolean": "false"}.get(shape.type_name)
        if wrong is not None:
            yield "another type", wrong


def within(shape):
    """Values at each limit of a shape."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "string" if getattr(shape, "enum", None):
            yield from ((word, word) for word in shape.enum)
        case "string":
            pattern = shape.metadata.get("pattern", ".*")
            for length in (least, most):
                if length is not None and re.fullmatch(pattern, "a" * length):
                    yield f"{length} characters", "a" * length
            if pattern == "[0-9a-zA-Z]{1,40}":
                yield from (("1 character", "a"), ("40 characters", "Z" * 40))
        case "integer":
            yield from ((str(limit), limit) for limit in (least, most) if limit is not None)
        case "blob":
            yield f"{most} bytes", bytes(most)


def outside(pattern: str, length: int) -> str:
    """A text of some length that a pattern does not take."""
    for character in ("!", " "):
        if not re.fullmatch(pattern, character * length):
            return character * length
    raise NotImplementedError(pattern)


def walk(shape, path=()):
    """Every member below a shape, with the path to it: names, and 0 for the entry of a list."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield (*path, name), member, name in shape.required_members
            yield from walk(member, (*path, name))
    elif shape.type_name == "list":
        yield (*path, 0), shape.member, False
        yield from walk(shape.member, (*path, 0))


def request(operation: str, path: tuple) -> dict:
    """Parameters of an operation that are right, and in which every parent of a member is there."""
    shape = SERVICE.operation_model(operation).input_shape
    parameters = smallest(shape)
    parameters["browserIdentifier" if operation in BROWSER_OPERATIONS else "codeInterpreterIdentifier"] = INTERPRETER
    if operation == "InvokeCodeInterpreter":
        tool = TOOLS[path[1]] if path[:1] == ("arguments",) and len(path) > 1 else "listFiles"
        parameters |= {"sessionId": EXAMPLES["CodeInterpreterSessionId"], "name": tool}
        parameters["arguments"] = dict(COMPANIONS.get(tool, {}))
    here, shape_here = parameters, shape
    for step, following in itertools.pairwise(path):
        shape_here = shape_here.member if step == 0 else shape_here.members[step]
        if step != 0 and step not in here:
            here[step] = smallest(shape_here)
        if getattr(shape_here, "is_tagged_union", False):
            here[step] = {following: smallest(shape_here.members[following])}
        here = here[step]
    return parameters


def placed(operation: str, path: tuple, value) -> dict:
    """The same with one member set to a value."""
    parameters = copy.deepcopy(request(operation, path))
    here = parameters
    for step in path[:-1]:
        here = here[step]
    if path[-1] == "blob":
        # A file has one or the other.
        del here["text"]
    here[path[-1]] = value
    return parameters


def without(operation: str, path: tuple) -> dict:
    """The same with one member left out."""
    parameters = copy.deepcopy(request(operation, path))
    here = parameters
    for step in path[:-1]:
        here = here[step]
    here.pop(path[-1], None)
    return parameters


def named(path: tuple) -> str:
    text = ""
    for step in path:
        text += "[0]" if step == 0 else f".{step}" if text else step
    return text


def bad_cases(operations=OPERATIONS):
    """One request beyond each constraint of each member."""
    for operation in operations:
        for path, shape, required in walk(SERVICE.operation_model(operation).input_shape):
            for what, value in beyond(shape):
                yield Case(operation, named(path), what, placed(operation, path, value))
            # A label cannot be absent from a path.
            if required and shape.serialization.get("location") != "uri":
                yield Case(operation, named(path), "absent", without(operation, path))


def good_cases(operations=OPERATIONS):
    """One request at each limit of each member."""
    for operation in operations:
        for path, shape, _ in walk(SERVICE.operation_model(operation).input_shape):
            for what, value in within(shape):
                yield Case(operation, named(path), what, placed(operation, path, value))
