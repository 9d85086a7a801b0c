"""Agent frameworks that bring the Code Interpreter to their agents: LangChain's toolkit and Strands' tool, without a model."""

import asyncio
import re
import time

import pytest
from langchain_aws.tools import create_code_interpreter_toolkit
from strands_tools.code_interpreter import AgentCoreCodeInterpreter
from strands_tools.code_interpreter.models import (
    ExecuteCodeAction,
    ExecuteCommandAction,
    FileContent,
    InitSessionAction,
    LanguageType,
    ListFilesAction,
    ReadFilesAction,
    RemoveFilesAction,
    WriteFilesAction,
)

# LangChain


@pytest.fixture(scope="module")
def langchain():
    """Calls a tool of LangChain's toolkit by name; all in the session of one conversation."""
    toolkit, _ = asyncio.run(create_code_interpreter_toolkit(region="us-west-2"))
    tools = toolkit.get_tools_by_name()
    yield lambda name, **arguments: tools[name].invoke(
        arguments, config={"configurable": {"thread_id": "a conversation"}}
    )
    asyncio.run(toolkit.cleanup())


def test_langchain_runs_code_and_keeps_state(langchain):
    langchain("execute_code", code="kept = 40 + 2")
    assert langchain("execute_code", code="print(kept)") == "42"
    assert "ZeroDivisionError" in langchain("execute_code", code="1/0")
    assert "NameError" in langchain("execute_code", code="print(kept)", clear_context=True)


def test_langchain_runs_commands(langchain):
    assert langchain("execute_command", command="echo from the shell") == "from the shell"
    assert "not found" in langchain("execute_command", command="no-such-program")


def test_langchain_writes_lists_reads_and_removes_files(langchain):
    assert "Successfully wrote all 1 files" in langchain(
        "write_files", files=[{"path": "notes/a.txt", "text": "hello"}]
    )
    assert "Successfully wrote all 1 files" in langchain(
        "upload_file", path="b.csv", content="x\n1\n", description="numbers"
    )
    # The toolkit reads texts only, so a listing must be one as well.
    listing = langchain("list_files", directory_path="")
    assert "b.csv" in listing and "notes" in listing
    assert "==== File: /notes/a.txt ====\nhello" in langchain("read_files", paths=["notes/a.txt"])
    langchain("delete_files", paths=["b.csv"])
    assert "b.csv" not in langchain("list_files")


def test_langchain_starts_watches_and_stops_tasks(langchain):
    # The same: the id of the task must stand in a text.
    [task] = re.findall(r"[0-9a-fA-F]{26,}", langchain("start_command_execution", command="echo begun; sleep 60"))
    deadline = time.monotonic() + 5
    while "begun" not in (status := langchain("get_task", task_id=task)):
        assert time.monotonic() < deadline
    assert "working" in status
    assert "canceled" in langchain("stop_task", task_id=task)


def test_langchain_learns_why_nothing_can_be_installed(langchain):
    assert "no network" in langchain("install_packages", packages=["no-such-package-at-all"])


def test_langchain_has_a_session_for_each_conversation():
    toolkit, _ = asyncio.run(create_code_interpreter_toolkit(region="us-west-2"))
    tool = toolkit.get_tools_by_name()["execute_code"]
    for thread in ("one", "two"):
        tool.invoke({"code": f"mine = '{thread}'"}, config={"configurable": {"thread_id": thread}})
    assert tool.invoke({"code": "print(mine)"}, config={"configurable": {"thread_id": "one"}}) == "one"
    asyncio.run(toolkit.cleanup())


# Strands


@pytest.fixture(scope="module")
def strands():
    interpreter = AgentCoreCodeInterpreter(
        region="us-west-2", session_name="strands-conformance", persist_sessions=False
    )
    created = interpreter.init_session(
        InitSessionAction(type="initSession", description="a conformance test", session_name="strands-conformance")
    )
    assert created["status"] == "success"
    interpreter._started = True
    yield interpreter
    interpreter.cleanup_platform()


def content(answer: dict) -> str:
    assert answer["status"] == "success"
    return answer["content"][0]["text"]


def test_strands_runs_code_and_keeps_state(strands):
    def run(code, **options):
        return content(
            strands.execute_code(
                ExecuteCodeAction(type="executeCode", session_name="strands-conformance", code=code, **options)
            )
        )

    run("kept = 42")
    assert "'text': '42'" in run("print(kept)")
    assert "ZeroDivisionError" in run("1/0")
    assert "'text': 'js'" in run("console.log('js')", language=LanguageType.JAVASCRIPT)


def test_strands_runs_commands(strands):
    action = ExecuteCommandAction(type="executeCommand", session_name="strands-conformance", command="echo shell")
    assert "'text': 'shell'" in content(strands.execute_command(action))


def test_strands_writes_lists_reads_and_removes_files(strands):
    here = {"session_name": "strands-conformance"}
    files = [FileContent(path="a.txt", text="text"), FileContent(path="b.bin", blob=b"\xff\0")]
    assert "Successfully wrote all 2 files" in content(
        strands.write_files(WriteFilesAction(type="writeFiles", content=files, **here))
    )
    listing = content(strands.list_files(ListFilesAction(type="listFiles", path=".", **here)))
    assert "a.txt" in listing and "b.bin" in listing
    read = content(strands.read_files(ReadFilesAction(type="readFiles", paths=["a.txt", "b.bin"], **here)))
    assert "'text': 'text'" in read and r"b'\xff\x00'" in read
    content(strands.remove_files(RemoveFilesAction(type="removeFiles", paths=["a.txt"], **here)))
    assert "a.txt" not in content(strands.list_files(ListFilesAction(type="listFiles", path=".", **here)))


def test_strands_finds_its_session_again(strands):
    """Another process asks for the session with GetCodeInterpreterSession and goes on with it if it is READY."""
    again = AgentCoreCodeInterpreter(region="us-west-2", session_name="strands-conformance")
    here = {"session_name": "strands-conformance"}
    content(strands.execute_code(ExecuteCodeAction(type="executeCode", code="again = 'found'", **here)))
    assert "'text': 'found'" in content(
        again.execute_code(ExecuteCodeAction(type="executeCode", code="print(again)", **here))
    )
