"""The AgentCore SDK's CodeInterpreter, every method of it."""

import os
import subprocess
import sys

import pytest
from bedrock_agentcore.tools.code_interpreter_client import CodeInterpreter, code_session

import door


@pytest.fixture(scope="module")
def interpreter():
    with code_session("us-west-2") as interpreter:
        yield interpreter


def result(answer) -> dict:
    [event] = answer["stream"]
    return event["result"]


def test_the_first_call_starts_a_session_by_itself(aws):
    interpreter = CodeInterpreter("us-west-2")
    assert result(interpreter.execute_code("print(1)"))["structuredContent"]["stdout"] == "1"
    session = interpreter.session_id
    assert interpreter.stop() is True and interpreter.session_id is None
    where = {"codeInterpreterIdentifier": door.INTERPRETER, "sessionId": session}
    assert aws.get_code_interpreter_session(**where)["status"] == "TERMINATED"


def test_a_session_is_got_and_listed(interpreter):
    got = interpreter.get_session()
    assert (got["sessionId"], got["status"], got["sessionTimeoutSeconds"]) == (interpreter.session_id, "READY", 900)
    assert got["name"].startswith("code-session-")
    listed = interpreter.list_sessions(status="READY", max_results=100)
    assert interpreter.session_id in {item["sessionId"] for item in listed["items"]}


def test_the_name_and_the_life_of_a_session_can_be_chosen():
    interpreter = CodeInterpreter("us-west-2")
    interpreter.start(identifier=door.QUICK, name="chosen", session_timeout_seconds=60)
    try:
        got = interpreter.get_session()
        assert (got["name"], got["sessionTimeoutSeconds"], got["codeInterpreterIdentifier"]) == (
            "chosen",
            60,
            door.QUICK,
        )
    finally:
        interpreter.stop()


def test_code_runs_in_every_language(interpreter):
    assert result(interpreter.execute_code("print('py')"))["structuredContent"]["stdout"] == "py"
    assert (
        result(interpreter.execute_code("console.log('js')", language="javascript"))["structuredContent"]["stdout"]
        == "js"
    )
    assert (
        result(interpreter.execute_code("const t: string = 'ts'; console.log(t)", language="typescript"))[
            "structuredContent"
        ]["stdout"]
        == "ts"
    )


def test_the_context_can_be_cleared(interpreter):
    interpreter.execute_code("kept = 1")
    assert result(interpreter.execute_code("print(kept)"))["structuredContent"]["stdout"] == "1"
    cleared = result(interpreter.clear_context())
    assert cleared["isError"] is False
    assert "NameError" in door.text(result(interpreter.execute_code("print(kept)")))


def test_commands_run(interpreter):
    assert result(interpreter.execute_command("echo $((6 * 7))"))["structuredContent"]["stdout"] == "42"


def test_one_file_goes_up_and_down(interpreter):
    uploaded = result(interpreter.upload_file("data/in.csv", "a,b\n1,ü\n", description="made by a test"))
    assert door.text(uploaded) == "Successfully wrote all 1 files"
    assert interpreter.download_file("data/in.csv") == "a,b\n1,ü\n"


def test_bytes_go_up_and_down(interpreter):
    content = bytes(range(256)) * 100
    interpreter.upload_file("in.bin", content)
    assert interpreter.download_file("in.bin") == content


def test_several_files_go_up_and_down(interpreter):
    interpreter.upload_files([{"path": "one.txt", "content": "1"}, {"path": "deep/two.bin", "content": b"\xff\xfe\0"}])
    assert interpreter.download_files(["one.txt", "deep/two.bin"]) == {"/one.txt": "1", "/deep/two.bin": b"\xff\xfe\0"}


def test_a_file_that_code_has_made_comes_down(interpreter):
    interpreter.execute_code("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.savefig('chart.png')")
    assert interpreter.download_file("chart.png").startswith(b"\x89PNG")


def test_a_missing_file_is_a_file_not_found_error(interpreter):
    with pytest.raises(FileNotFoundError):
        interpreter.download_file("missing.txt")
    interpreter.upload_file("there.txt", "t")
    assert interpreter.download_files(["there.txt", "missing.txt"]) == {"/there.txt": "t"}


def test_packages_are_not_installed_without_a_network_and_the_answer_says_why(interpreter):
    answer = result(interpreter.install_packages(["httpx[http2]", "rich>=13"], upgrade=True))
    assert answer["isError"] is True and "no network" in door.text(answer)


@pytest.mark.parametrize(
    "tool, arguments",
    [
        ("executeCode", {"code": "1", "language": "python"}),
        ("executeCommand", {"command": "true"}),
        ("writeFiles", {"content": [{"path": "i.txt", "text": "i"}]}),
        ("readFiles", {"paths": ["i.txt"]}),
        ("listFiles", {}),
        ("removeFiles", {"paths": ["i.txt"]}),
        ("startCommandExecution", {"command": "true"}),
    ],
)
def test_every_tool_can_be_invoked_by_name(interpreter, tool, arguments):
    assert result(interpreter.invoke(tool, arguments))["isError"] is False


def test_the_sdks_own_variable_for_the_endpoint_works_too():
    """It is read when the module is imported, so this takes a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_ENDPOINT_URL")}
    environment["BEDROCK_AGENTCORE_DP_ENDPOINT"] = os.environ["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"]
    code = (
        "from bedrock_agentcore.tools.code_interpreter_client import code_session\n"
        "with code_session('us-west-2') as c: print(next(iter(c.execute_code('print(6 * 7)')['stream']))['result']['structuredContent']['stdout'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True, text=True)
    assert ran.stdout == "42\n"
