"""The shim of `cloister run -- COMMAND`, on the real SDK: which addresses it hands out, and that it changes nothing else."""

import os
import pathlib
import subprocess
import sys

SHIM = pathlib.Path(__file__).resolve().parents[2] / "crates/cloister/src/shim"
ADDRESSES = """
from bedrock_agentcore.tools.browser_client import BrowserClient
client = BrowserClient("us-west-2")
client.identifier, client.session_id = "aws.browser.v1", "01ABC"
url, headers = client.generate_ws_headers()
print(url)
print(headers["Host"], headers["Authorization"].split("/")[0])
print(client.generate_live_view_url(60).split("?")[0])
"""


def python(code: str, path: list, endpoint: str = "http://127.0.0.1:8484") -> list[str]:
    """Lines that `code` prints in a Python of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLOISTER_", "PYTHON"))}
    environment |= {
        "AWS_ACCESS_KEY_ID": "token",
        "AWS_SECRET_ACCESS_KEY": "token",
        "AWS_REGION": "us-west-2",
        "CLOISTER_ENDPOINT": endpoint,
        "PYTHONPATH": os.pathsep.join(map(str, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout.splitlines()


def test_without_the_shim_the_sdk_hands_out_addresses_of_aws():
    assert python(ADDRESSES, [])[0].startswith("wss://bedrock-agentcore.us-west-2.amazonaws.com/")


def test_addresses_are_those_of_the_server_and_signed_for_it():
    assert python(ADDRESSES, [SHIM]) == [
        "ws://127.0.0.1:8484/browser-streams/aws.browser.v1/sessions/01ABC/automation",
        "127.0.0.1:8484 AWS4-HMAC-SHA256 Credential=token",
        "http://127.0.0.1:8484/browser-streams/aws.browser.v1/sessions/01ABC/live-view",
    ]


def test_a_server_behind_tls_keeps_its_scheme():
    lines = python(ADDRESSES, [SHIM], "https://box.example:8443")
    assert lines[0].startswith("wss://box.example:8443/") and lines[2].startswith("https://box.example:8443/")


def test_without_a_server_nothing_is_rewritten():
    assert python(ADDRESSES, [SHIM], "")[0].startswith("wss://bedrock-agentcore.")


def test_a_sitecustomize_that_was_there_before_still_runs_in_its_own_name(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.before = (__name__, __file__)\n")
    lines = python("import sys, sitecustomize; print(*sys.before); print(sitecustomize.__file__)" + ADDRESSES, [SHIM, tmp_path])
    assert lines[0] == f"sitecustomize {tmp_path / 'sitecustomize.py'}" and lines[1] == str(tmp_path / "sitecustomize.py")
    assert lines[2].startswith("ws://127.0.0.1:8484/")


def test_a_program_without_the_sdk_does_not_notice():
    assert python("import json; print(json.__spec__.loader.__class__.__name__)", [SHIM]) == ["SourceFileLoader"]


def test_a_version_of_the_sdk_that_is_not_known_is_said_and_still_imported(tmp_path):
    package = tmp_path / "bedrock_agentcore" / "tools"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("")
    (package / "browser_client.py").write_text("answer = 42\n")
    code = "import sys; sys.stderr = sys.stdout\nfrom bedrock_agentcore.tools.browser_client import answer; print(answer)"
    lines = python(code, [SHIM, tmp_path])
    assert "is not known" in lines[0] and lines[1] == "42"
