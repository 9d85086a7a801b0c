"""The nine tools through boto3, in the shapes that were recorded from the AWS service."""

import time

import pytest

import door

TASK_STATES = {"submitted", "working", "completed", "canceled", "failed"}


def wait_for_task(session, task, *states) -> dict:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        structured = session.call("getTask", taskId=task)["structuredContent"]
        assert structured["taskId"] == task and structured["taskStatus"] in TASK_STATES
        if structured["taskStatus"] in states:
            return structured
        time.sleep(0.05)
    raise AssertionError(f"the task is {structured} after 10 s")


# writeFiles, readFiles, listFiles, removeFiles


def test_writing_files_answers_in_the_recorded_shape(shared):
    result = shared.call(
        "writeFiles", content=[{"path": "w/a.txt", "text": "a"}, {"path": "w/b.bin", "blob": b"\0\xff"}]
    )
    assert result == {"content": [{"type": "text", "text": "Successfully wrote all 2 files"}], "isError": False}


def test_listing_files_answers_in_the_recorded_shape(session):
    session.call(
        "writeFiles",
        content=[
            {"path": "data.csv", "text": "a,b\n"},
            {"path": "stats.py", "text": "1"},
            {"path": "log/x", "text": ""},
        ],
    )
    for arguments in ({"path": ""}, {"path": "."}, {"directoryPath": ""}, {"directoryPath": "."}, {}):
        result = session.call("listFiles", **arguments)
        assert result["isError"] is False
        linked = [block for block in result["content"] if block["type"] == "resource_link"]
        assert sorted(linked, key=lambda block: block["name"]) == [
            {
                "type": "resource_link",
                "mimeType": "text/csv",
                "uri": "file:///data.csv",
                "name": "data.csv",
                "description": "File",
                "size": 4,
            },
            {"type": "resource_link", "uri": "file:///log", "name": "log", "description": "Directory"},
            {
                "type": "resource_link",
                "mimeType": "text/x-python",
                "uri": "file:///stats.py",
                "name": "stats.py",
                "description": "File",
                "size": 1,
            },
        ]


def test_listing_a_directory_is_one_level_deep_and_names_paths_from_the_working_directory(session):
    session.call(
        "writeFiles", content=[{"path": "top/inner/deep.txt", "text": "x"}, {"path": "top/file.txt", "text": "y"}]
    )
    uris = {
        block["uri"]
        for block in session.call("listFiles", directoryPath="top")["content"]
        if block["type"] == "resource_link"
    }
    assert uris == {"file:///top/inner", "file:///top/file.txt"}


def test_listing_what_is_no_directory_is_an_error_that_names_it(shared):
    result = shared.call("listFiles", path="no/such/folder")
    assert result["isError"] is True and "no/such/folder" in door.text(result)


def test_reading_files_answers_one_resource_per_file_in_order(shared):
    shared.call("writeFiles", content=[{"path": "r.csv", "text": "a,é\n"}, {"path": "r.png", "blob": b"\x89PNG\0"}])
    result = shared.call("readFiles", paths=["r.png", "r.csv"])
    assert result == {
        "content": [
            {
                "type": "resource",
                "resource": {"type": "blob", "uri": "file:///r.png", "mimeType": "image/png", "blob": b"\x89PNG\0"},
            },
            {
                "type": "resource",
                "resource": {"type": "text", "uri": "file:///r.csv", "mimeType": "text/csv", "text": "a,é\n"},
            },
        ],
        "isError": False,
    }


def test_a_missing_file_is_an_error_that_names_it_and_has_no_resource(shared):
    result = shared.call("readFiles", paths=["missing.txt"])
    assert result["isError"] is True and "missing.txt" in door.text(result)
    assert [block["type"] for block in result["content"]] == ["text"]


def test_files_that_exist_are_read_although_others_are_missing(shared):
    shared.call("writeFiles", content=[{"path": "there.txt", "text": "t"}])
    result = shared.call("readFiles", paths=["there.txt", "missing.txt"])
    assert result["isError"] is True and "missing.txt" in door.text(result) and "there.txt" not in door.text(result)
    assert result["content"][0]["resource"]["text"] == "t"


def test_writes_are_all_or_nothing(session):
    session.shell("mkdir -p taken/x")
    result = session.call("writeFiles", content=[{"path": "first.txt", "text": "1"}, {"path": "taken", "text": "2"}])
    assert result["isError"] is True and "taken" in door.text(result)
    assert session.call("readFiles", paths=["first.txt"])["isError"] is True


def test_a_write_replaces_a_file_and_its_content_whole(shared):
    for content in ("a longer text", "short"):
        shared.call("writeFiles", content=[{"path": "replaced.txt", "text": content}])
    assert shared.read("replaced.txt") == b"short"


def test_removing_files_removes_files_and_trees_and_names_what_is_missing(session):
    session.call(
        "writeFiles",
        content=[
            {"path": "a.txt", "text": "a"},
            {"path": "tree/deep/b.txt", "text": "b"},
            {"path": "kept.txt", "text": "k"},
        ],
    )
    result = session.call("removeFiles", paths=["a.txt", "tree"])
    assert result["isError"] is False and [block["type"] for block in result["content"]] == ["text"]
    result = session.call("removeFiles", paths=["a.txt"])
    assert result["isError"] is True and "a.txt" in door.text(result)
    assert set(door.links(session.call("listFiles", path=""))) == {"kept.txt"}


def test_all_tools_share_one_file_system(session):
    session.call("writeFiles", content=[{"path": "in.txt", "text": "from a tool"}])
    assert session.output("print(open('in.txt').read())") == "from a tool"
    assert session.shell("cat in.txt; echo -n from a shell > out.txt")["structuredContent"]["stdout"] == "from a tool"
    assert session.read("out.txt") == b"from a shell"
    task = session.call("startCommandExecution", command="cat out.txt")["structuredContent"]["taskId"]
    assert wait_for_task(session, task, "completed")["stdout"] == "from a shell"


def test_relative_and_absolute_names_of_a_file_mean_the_same_file(session):
    folder = session.output("import os; print(os.getcwd())")
    session.call("writeFiles", content=[{"path": f"{folder}/by-absolute.txt", "text": "x"}])
    assert session.read("by-absolute.txt") == session.read("./by-absolute.txt") == b"x"


# executeCode


def test_executing_code_answers_in_the_recorded_shape(shared):
    result = shared.python("print('hello')")
    seconds = result["structuredContent"].pop("executionTime")
    assert result == {
        "content": [{"type": "text", "text": "hello"}],
        "structuredContent": {"stdout": "hello", "stderr": "", "exitCode": 0},
        "isError": False,
    }
    assert isinstance(seconds, float) and 0 < seconds < 5


def test_the_execution_time_is_in_seconds(shared):
    result = shared.python("import time; time.sleep(0.4)")
    assert 0.4 <= result["structuredContent"]["executionTime"] < 3


def test_stdout_loses_one_newline_at_its_end_and_nothing_else(shared):
    assert shared.python("print('a\\n')")["structuredContent"]["stdout"] == "a\n"
    assert shared.python("print('  a')")["structuredContent"]["stdout"] == "  a"
    assert shared.python("print('a', end='')")["structuredContent"]["stdout"] == "a"


def test_the_value_of_a_last_expression_is_shown_as_in_a_notebook(shared):
    assert door.text(shared.python("x = 20\nx + 1")) == "21"
    assert door.text(shared.python("x + 1;")) == ""


def test_a_failure_has_its_traceback_in_the_first_text(shared):
    result = shared.python("print('before')\n1/0")
    assert result["isError"] is True
    assert (
        result["content"][0]["type"] == "text" and "ZeroDivisionError: division by zero" in result["content"][0]["text"]
    )
    structured = result["structuredContent"]
    assert (
        structured["exitCode"] == 1 and structured["stdout"] == "before" and "ZeroDivisionError" in structured["stderr"]
    )


def test_stdout_and_stderr_are_kept_apart_also_for_children_and_c_code(shared):
    code = "import os, sys, subprocess\nprint('out'); print('err', file=sys.stderr)\nos.write(2, b'fd\\n')\nsubprocess.run('echo child', shell=True)"
    structured = shared.python(code)["structuredContent"]
    assert sorted(structured["stdout"].split()) == ["child", "out"] and sorted(structured["stderr"].split()) == [
        "err",
        "fd",
    ]


def test_an_exit_status_is_told(shared):
    result = shared.python("import sys; sys.exit(3)")
    assert result["structuredContent"]["exitCode"] == 3 and result["isError"] is True
    assert shared.python("import sys; sys.exit(0)")["isError"] is False


def test_reading_from_a_terminal_ends_with_a_clear_error(shared):
    result = shared.python("input('name? ')")
    assert result["isError"] is True and "EOFError" in door.text(result)


def test_state_is_kept_between_calls_and_cleared_on_request(session):
    session.python("kept = 41")
    assert session.output("print(kept + 1)") == "42"
    result = session.python("kept", clearContext=True)
    assert result["isError"] is True and "NameError" in door.text(result)


@pytest.mark.parametrize("runtime", [None, "nodejs", "deno"])
@pytest.mark.parametrize(
    "language, first, second",
    [
        ("javascript", "globalThis.n = 41; console.log('js')", "console.log(n + 1)"),
        ("typescript", "var t: number = 41; console.log('ts')", "console.log(t + 1 as number)"),
    ],
)
def test_javascript_and_typescript_keep_state_on_every_runtime(shared, language, first, second, runtime):
    chosen = {"language": language} | ({"runtime": runtime} if runtime else {})
    assert shared.call("executeCode", code=first, **chosen)["structuredContent"]["stdout"] == language[0] + "s"
    assert shared.call("executeCode", code=second, **chosen)["structuredContent"]["stdout"] == "42"


@pytest.mark.parametrize("runtime", ["nodejs", "deno"])
def test_an_error_in_javascript_is_told_by_name(shared, runtime):
    result = shared.call("executeCode", code="null.x", language="javascript", runtime=runtime)
    assert result["isError"] is True and "TypeError" in result["content"][0]["text"]


def test_a_shown_figure_is_an_image_block_after_the_text(shared):
    result = shared.python("import matplotlib.pyplot as plt\nprint('text')\nplt.plot([1, 2]); plt.show()")
    assert [block["type"] for block in result["content"]] == ["text", "image"]
    image = result["content"][1]
    assert image["mimeType"] == "image/png" and image["data"].startswith(b"\x89PNG")


def test_files_that_a_call_made_or_changed_are_linked_with_type_and_size(session):
    result = session.python("open('a.csv', 'w').write('x,y\\n')\nopen('b.json', 'w').write('{}');")
    assert [block["type"] for block in result["content"]] == ["text", "resource_link", "resource_link"]
    assert {name: (link["mimeType"], link["size"], link["uri"]) for name, link in door.links(result).items()} == {
        "a.csv": ("text/csv", 4, "file:///a.csv"),
        "b.json": ("application/json", 2, "file:///b.json"),
    }
    assert set(door.links(session.python("open('a.csv', 'a').write('1,2\\n');"))) == {"a.csv"}
    assert door.links(session.python("print(open('a.csv').read())")) == {}


# executeCommand and tasks


def test_executing_a_command_answers_in_the_recorded_shape(shared):
    result = shared.shell("echo out; echo err >&2")
    assert isinstance(result["structuredContent"].pop("executionTime"), float)
    assert result == {
        "content": [{"type": "text", "text": "out"}],
        "structuredContent": {"stdout": "out", "stderr": "err\n", "exitCode": 0},
        "isError": False,
    }


def test_a_command_that_does_not_exist_has_status_127_and_says_so(shared):
    result = shared.shell("no-such-program --help")
    assert result["isError"] is True and result["structuredContent"]["exitCode"] == 127
    assert "no-such-program: command not found" in result["structuredContent"]["stderr"]
    assert "not found" in result["content"][0]["text"]


def test_the_shell_keeps_its_folder_and_variables(session):
    session.shell("mkdir -p sub && cd sub && export WORD=kept")
    assert session.shell('echo "$WORD $(basename "$PWD")"')["structuredContent"]["stdout"] == "kept sub"


def test_a_task_is_submitted_works_and_completes(shared):
    began = time.monotonic()
    structured = shared.call("startCommandExecution", command="echo begun; sleep 0.5; echo done")["structuredContent"]
    assert time.monotonic() - began < 0.4, "the start waits for the end"
    assert structured["taskStatus"] in {"submitted", "working"}
    structured = wait_for_task(shared, structured["taskId"], "completed")
    assert (structured["stdout"], structured["stderr"], structured["exitCode"]) == ("begun\ndone", "", 0)


def test_a_new_task_is_submitted(shared):
    assert shared.call("startCommandExecution", command="true")["structuredContent"]["taskStatus"] == "submitted"


def test_a_task_shows_its_output_while_it_works(shared):
    task = shared.call("startCommandExecution", command="echo early; sleep 30")["structuredContent"]["taskId"]
    deadline = time.monotonic() + 5
    while (structured := shared.call("getTask", taskId=task)["structuredContent"])["stdout"] != "early":
        assert time.monotonic() < deadline, structured
    assert structured["taskStatus"] == "working" and "exitCode" not in structured
    assert shared.call("stopTask", taskId=task)["structuredContent"]["taskStatus"] == "canceled"


def test_a_task_that_fails_says_so_with_its_status(shared):
    task = shared.call("startCommandExecution", command="echo sorry >&2; exit 4")["structuredContent"]["taskId"]
    structured = wait_for_task(shared, task, "failed")
    assert (structured["exitCode"], structured["stderr"]) == (4, "sorry\n")


def test_a_stopped_task_is_canceled_with_everything_that_it_started(session):
    task = session.call("startCommandExecution", command="setsid sleep 987 & sleep 987")["structuredContent"]["taskId"]
    count = "print(sum(b'987' in open(f'/proc/{p}/cmdline', 'rb').read() for p in __import__('os').listdir('/proc') if p.isdigit()))"
    deadline = time.monotonic() + 5
    while int(session.output(count)) < 2:
        assert time.monotonic() < deadline
    assert session.call("stopTask", taskId=task)["structuredContent"]["taskStatus"] == "canceled"
    assert session.call("getTask", taskId=task)["structuredContent"]["taskStatus"] == "canceled"
    assert session.output(count) == "0"


def test_an_unknown_task_is_an_error_that_names_it(shared):
    for tool in ("getTask", "stopTask"):
        result = shared.call(tool, taskId="0123456789")
        assert result["isError"] is True and "0123456789" in door.text(result)


# Network and time


def test_nothing_can_be_installed_without_a_network_and_the_answer_says_why(shared):
    began = time.monotonic()
    result = shared.shell("pip install no-such-package-at-all")
    assert result["isError"] is True and result["structuredContent"]["exitCode"] == 1
    assert "no network" in door.text(result) and "network.mode" in door.text(result)
    assert time.monotonic() - began < 5


def test_an_endless_loop_is_interrupted_and_the_state_is_kept(start):
    session = start(door.QUICK)
    session.python("kept = 'here'")
    result = session.python("while True: pass")
    assert result["isError"] is True and "KeyboardInterrupt" in result["structuredContent"]["stderr"]
    assert 2 <= result["structuredContent"]["executionTime"] < 3.5
    assert session.output("print(kept)") == "here"


def test_a_loop_that_takes_no_interrupt_is_killed_and_the_answer_says_that_the_state_is_lost(start):
    session = start(door.QUICK)
    session.python("kept = 1\nopen('file.txt', 'w').write('kept');")
    result = session.python("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")
    assert result["isError"] is True and "lost" in door.text(result)
    assert "NameError" in door.text(session.python("kept"))
    assert session.read("file.txt") == b"kept"


def test_the_strictest_policy_runs_code(start):
    assert start("strict").output("import pandas; print(len(pandas.DataFrame({'a': [1, 2]})))") == "2"
