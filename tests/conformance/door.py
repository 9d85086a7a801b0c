"""What the tests use besides the foreign clients: a session with its calls, and requests without any SDK in between.

Nothing here knows the answers; it only asks, and takes messages apart with botocore's own parser.
"""

import http.client
import json
import os
import urllib.parse
import uuid

import boto3
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer

INTERPRETER = "aws.codeinterpreter.v1"
# Calls of two seconds; see cloister.toml.
QUICK = "quick-abcdefghij"
# Python only, no shell; see cloister.toml.
PINCHED = "pinched-abcdefghij"
# Used by the pagination tests only.
PAGING = "paging-abcdefghij"
# Largest payload of one message that botocore takes.
LARGEST_MESSAGE = 24 * 1024 * 1024


def client(**options):
    """Stock boto3; where the server is comes from the environment and from nowhere else."""
    return boto3.client("bedrock-agentcore", config=Config(**options))


def impatient(**options):
    """A client that sends every request once, so that a test sees the error and not what a retry made of it."""
    return client(retries={"total_max_attempts": 1}, **options)


class Session:
    """A session, and its tools as methods of one shape: `session.call("executeCode", code=…)`."""

    def __init__(self, aws, interpreter: str = INTERPRETER, **start):
        self.aws, self.interpreter = aws, interpreter
        self.id = aws.start_code_interpreter_session(codeInterpreterIdentifier=interpreter, **start)["sessionId"]

    def invoke(self, tool: str, /, **arguments) -> dict:
        """The raw answer of boto3, its stream unread."""
        return self.aws.invoke_code_interpreter(
            codeInterpreterIdentifier=self.interpreter, sessionId=self.id, name=tool, arguments=arguments
        )

    def call(self, tool: str, /, **arguments) -> dict:
        """The result of a call that answers with exactly one event."""
        events = list(self.invoke(tool, **arguments)["stream"])
        assert [list(event) for event in events] == [["result"]], events
        return events[0]["result"]

    def python(self, code: str, **arguments) -> dict:
        return self.call("executeCode", code=code, language="python", **arguments)

    def output(self, code: str) -> str:
        """What a piece of Python prints. It must succeed."""
        result = self.python(code)
        assert not result["isError"], result
        return result["structuredContent"]["stdout"]

    def shell(self, command: str) -> dict:
        return self.call("executeCommand", command=command)

    def read(self, path: str) -> bytes:
        """A file's content, by readFiles."""
        blocks = self.call("readFiles", paths=[path])["content"]
        assert len(blocks) == 1, blocks
        resource = blocks[0]["resource"]
        return resource["blob"] if "blob" in resource else resource["text"].encode()

    def stop(self) -> None:
        self.aws.stop_code_interpreter_session(codeInterpreterIdentifier=self.interpreter, sessionId=self.id)


def text(result: dict) -> str:
    """All text blocks of a result."""
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


def links(result: dict) -> dict[str, dict]:
    """The linked files of a result, by name."""
    return {block["name"]: block for block in result["content"] if block["type"] == "resource_link"}


class Answer:
    """An HTTP answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self) -> dict:
        return json.loads(self.body)

    def messages(self) -> list[tuple[dict, dict]]:
        """Headers and payload of every message of an event stream."""
        buffer = EventStreamBuffer()
        buffer.add_data(self.body)
        return [(message.headers, json.loads(message.payload)) for message in buffer]


def connect(timeout: float = 60) -> http.client.HTTPConnection:
    where = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"])
    return http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)


def request(
    method: str, path: str, body: dict | bytes | None = None, headers: dict | None = None, timeout: float = 60
) -> Answer:
    """One request without an SDK: the bearer token in place of a signature, no retries."""
    connection = connect(timeout)
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        ours = {"content-type": "application/json", "authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}"}
        connection.request(method, path, data, ours | (headers or {}))
        return Answer(connection.getresponse())
    finally:
        connection.close()


def invoke_headers(session_id: str, invocation: str | None = None) -> dict[str, str]:
    return {
        "authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}",
        "x-amzn-code-interpreter-session-id": session_id,
        "amz-sdk-invocation-id": invocation or str(uuid.uuid4()),
    }


def invoke_path(interpreter: str = INTERPRETER) -> str:
    return f"/code-interpreters/{urllib.parse.quote(interpreter, safe='')}/tools/invoke"


def invoke(session_id: str, tool: str, arguments: dict, invocation: str | None = None, timeout: float = 60) -> Answer:
    """One InvokeCodeInterpreter without an SDK."""
    headers = invoke_headers(session_id, invocation)
    return request("POST", invoke_path(), {"name": tool, "arguments": arguments}, headers, timeout)
