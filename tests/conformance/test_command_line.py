"""The command line, once through: what a person types."""

import json
import os
import re
import subprocess

import pytest

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")


def cloister(*arguments: str, status: int = 0, **options) -> subprocess.CompletedProcess:
    ran = subprocess.run(
        [CLOISTER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **options
    )
    assert ran.returncode == status, (ran.returncode, ran.stdout, ran.stderr)
    return ran


def test_run_has_the_streams_and_the_status_of_the_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n")
    ran = cloister("run", str(program), status=3)
    assert (ran.stdout, ran.stderr) == ("out\n", "err\n")


def test_run_sends_and_fetches_files(tmp_path):
    (tmp_path / "in.csv").write_text("x\n1\n2\n")
    (tmp_path / "program.py").write_text(
        "import pandas as pd\npd.read_csv('data/in.csv').describe().to_csv('out.csv')\n"
    )
    cloister("run", "program.py", "--file", "in.csv:data/in.csv", "--get", "out.csv", cwd=tmp_path)
    assert (tmp_path / "out.csv").read_text().startswith(",x\ncount,2.0\n")


@pytest.mark.parametrize(
    "name, source",
    [("a.js", "console.log(6 * 7)"), ("a.ts", "const n: number = 42; console.log(n)"), ("a.sh", "echo $((6 * 7))")],
)
def test_run_knows_a_language_by_its_extension(tmp_path, name, source):
    (tmp_path / name).write_text(source)
    assert cloister("run", str(tmp_path / name)).stdout == "42\n"


def test_run_reads_a_program_from_standard_input():
    assert cloister("run", "-", input="print(6 * 7)").stdout == "42\n"


def test_a_kept_session_is_used_listed_and_stopped(tmp_path):
    (tmp_path / "program.py").write_text("open('made.txt', 'w').write('by the program')\n")
    kept = cloister("run", "--keep", str(tmp_path / "program.py"))
    [session] = re.findall(r"session ([0-9A-Z]{26})", kept.stderr)
    assert cloister("exec", session, "--", "cat", "made.txt").stdout == "by the program"
    assert cloister("exec", session, "--", "exit 5", status=5).stdout == ""

    cloister("cp", f"{session}:made.txt", str(tmp_path / "fetched.txt"))
    assert (tmp_path / "fetched.txt").read_text() == "by the program"
    (tmp_path / "sent.bin").write_bytes(b"\xff\0")
    cloister("cp", str(tmp_path / "sent.bin"), f"{session}:sent.bin")
    assert cloister("exec", session, "--", "stat -c %s sent.bin").stdout == "2\n"

    assert session in {one["id"] for one in json.loads(cloister("ls", "--json").stdout)["sessions"]}
    assert session in cloister("ls").stdout
    cloister("stop", session)
    assert session not in cloister("ls").stdout


def test_the_doctor_finds_every_wall_that_the_default_policy_requires():
    report = json.loads(cloister("doctor", "--json").stdout)
    walls = {wall["wall"]: wall["ok"] for wall in report["walls"]}
    assert walls and all(walls[name] for name in ("namespaces", "root", "seccomp", "landlock"))


def test_env_prints_lines_that_a_shell_evaluates(tmp_path):
    lines = cloister("env", "--listen", "127.0.0.1:1", "--data-dir", str(tmp_path)).stdout
    ran = subprocess.run(
        ["bash", "-euc", lines + "\necho $AWS_ENDPOINT_URL_BEDROCK_AGENTCORE $AWS_REGION"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ran.stdout == "http://127.0.0.1:1 us-west-2\n"
