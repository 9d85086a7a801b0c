"""The wasm tier behind the same door: stock boto3 against an interpreter whose policy says `tier = "wasm"`."""

import json
import os
import subprocess

import pytest

import door

WASM = "wasm-abcdefghij"


@pytest.fixture
def wasm(start):
    return start(WASM)


def test_code_runs_state_stays_and_files_come_back(wasm):
    result = wasm.python("import json, sqlite3, statistics\nrows = [(n, n * n) for n in range(5)]\nstatistics.mean(n for n, _ in rows)")
    assert not result["isError"] and result["content"][0]["text"] == "2"
    code = "open('rows.json', 'w').write(json.dumps(rows)); print(len(rows))"
    result = wasm.python(code)
    assert result["structuredContent"]["stdout"].strip() == "5"
    assert door.links(result)["rows.json"]["size"] == len(json.dumps([[n, n * n] for n in range(5)]))
    assert json.loads(wasm.read("rows.json")) == [[n, n * n] for n in range(5)]
    wasm.call("writeFiles", content=[{"path": "in/größe.txt", "text": "漢字"}])
    assert wasm.output("print(open('in/größe.txt', encoding='utf-8').read())").strip() == "漢字"


def test_pure_python_packages_are_there(wasm):
    code = "import sympy, networkx, yaml\nx = sympy.Symbol('x')\nprint(sympy.integrate(x**2, x), yaml.safe_load('a: [1]'))"
    assert wasm.output(code).strip() == "x**3/3 {'a': [1]}"


def test_an_exception_has_its_traceback_with_the_line(wasm):
    result = wasm.python("def f(n):\n    return 1 / n\nf(0)")
    assert result["isError"] and "ZeroDivisionError: division by zero" in result["structuredContent"]["stderr"]
    assert "return 1 / n" in result["structuredContent"]["stderr"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("executeCommand", {"command": "ls"}),
        ("startCommandExecution", {"command": "ls"}),
        ("executeCode", {"code": "1", "language": "javascript"}),
    ],
)
def test_what_the_tier_lacks_is_refused_with_the_tier_to_use(aws, wasm, tool, arguments):
    with pytest.raises(aws.exceptions.ValidationException) as caught:
        list(wasm.invoke(tool, **arguments)["stream"])
    message = caught.value.response["Error"]["Message"]
    assert "wasm tier" in message and "aws.codeinterpreter.v1" in message


def test_native_packages_and_processes_are_missed_with_a_hint(wasm):
    for code in ["import numpy", "import subprocess; subprocess.run(['ls'])"]:
        result = wasm.python(code)
        assert result["isError"] and "aws.codeinterpreter.v1" in result["structuredContent"]["stderr"], result


def test_the_command_line_runs_a_file_on_the_tier(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys; print(sys.platform)\n")
    done = subprocess.run(
        [os.environ.get("CLOISTER_BIN", "cloister"), "run", "--tier", "wasm", str(program)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "wasi\n"), done
