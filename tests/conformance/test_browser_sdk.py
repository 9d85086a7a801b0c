"""The ways of browser clients, each with the real SDK and the real Playwright: A, plain boto3; B, TLS with the server's own CA and an
unpatched SDK; C, the shim of `cloister run -- COMMAND`. The README's table has the same letters.
"""

import json
import os
import subprocess
import sys

import pytest

import needs
from server import HERE, Server

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")
BROWSER = "aws.browser.v1"

# What a client does once it has an address: a page, text of every kind typed into it, a picture.
DRIVE = """
import json, sys
from playwright.sync_api import sync_playwright
def drive(url, headers=None):
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(url, headers=headers)
        page = browser.contexts[0].pages[0]
        page.set_content("<input id=i><p id=p></p><script>i.oninput = () => p.textContent = i.value</script>")
        page.fill("#i", "Grüße 你好 🌍")
        seen = {"text": page.inner_text("#p"), "png": page.screenshot()[:4].hex(), "url": url}
        browser.close()
        return seen
"""
SDK = f"""
{DRIVE}
from bedrock_agentcore.tools.browser_client import BrowserClient
client = BrowserClient("us-west-2")
client.start(identifier="{BROWSER}", session_timeout_seconds=300)
try:
    url, headers = client.generate_ws_headers()
    seen = drive(url, headers)
    seen["live"] = client.generate_live_view_url(60)
    # The session outlives a client, and a second one finds it.
    drive(*client.generate_ws_headers())
    print(json.dumps(seen))
finally:
    client.stop()
"""


def seen(ran: subprocess.CompletedProcess) -> dict:
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert (found["text"], found["png"]) == ("Grüße 你好 🌍", "89504e47")
    return found


def python(code: str, *before: str, **variables: str) -> subprocess.CompletedProcess:
    command = [*before, sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=120)


def test_a_the_stream_endpoint_of_plain_boto3_is_all_that_playwright_needs(aws):
    started = aws.start_browser_session(browserIdentifier=BROWSER, sessionTimeoutSeconds=300)
    try:
        url = started["streams"]["automationStream"]["streamEndpoint"]
        assert seen(python(f"{DRIVE}\nprint(json.dumps(drive({url!r})))"))["url"].startswith("ws://127.0.0.1:")
    finally:
        aws.stop_browser_session(browserIdentifier=BROWSER, sessionId=started["sessionId"])


def test_c_the_unmodified_sdk_under_cloister_run():
    server = os.environ["CLOISTER_ENDPOINT"].removeprefix("http://")
    found = seen(python(SDK, CLOISTER, "run", "--"))
    assert found["url"].startswith(f"ws://{server}/browser-streams/{BROWSER}/sessions/")
    assert found["live"].startswith(f"http://{server}/browser-streams/{BROWSER}/sessions/")


def test_without_any_of_them_the_sdk_goes_to_aws():
    """What the shim is for: if this fails, the SDK has learned to go where the endpoint variable says."""
    code = """
from bedrock_agentcore.tools.browser_client import BrowserClient
client = BrowserClient("us-west-2")
client.identifier, client.session_id = "x", "y"
print(client.generate_ws_headers()[0])
"""
    assert "amazonaws.com" in python(code).stdout


@pytest.mark.parametrize(
    "arguments, starts",
    [(["--screenshot"], b"\x89PNG"), (["--pdf"], b"%PDF"), (["--full-page", "--screenshot"], b"\x89PNG")],
)
def test_the_command_line_browses(tmp_path, arguments, starts):
    file = tmp_path / "out"
    ran = subprocess.run(
        [CLOISTER, "browse", "data:text/html;charset=utf-8,<h1>Grüße</h1>", "--viewport", "800x600", *arguments, file, "--markdown"],
        capture_output=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert file.read_bytes().startswith(starts) and "# Grüße".encode() in ran.stdout


def test_b_the_unmodified_sdk_over_tls_with_the_servers_own_authority(tmp_path):
    """The line in the hosts file is written into a copy, which only the client's own mount namespace sees. Who is not root makes a user
    namespace for it, as the server does for its sandboxes.
    """
    alone = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "-m", "--propagation", "private"]
    missing = subprocess.run([*alone, "true"], capture_output=True, text=True)
    if missing.returncode != 0:
        needs.skip(f"a program cannot be given a hosts file of its own here: {missing.stderr.strip()}")
    with Server("--tls-listen", "127.0.0.1:0", "--pool", "0", "--config", str(HERE / "cloister.toml"), "--policies", str(HERE / "policies")) as server:
        script = 'eval "$("$1" env --data-dir "$2" --tls)" && env -0'
        command = ["bash", "-c", script, "-", CLOISTER, server.folder.name]
        lines = subprocess.run(command, capture_output=True, check=True).stdout
        variables = dict(entry.decode().split("=", 1) for entry in lines.rstrip(b"\0").split(b"\0"))
        hosts = tmp_path / "hosts"
        hosts.write_text("127.0.0.1 localhost cloister.amazonaws.com\n")
        bind = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        before = [*alone, "sh", "-c", bind, "sh", str(hosts)]
        found = seen(python(SDK, *before, **variables))
        assert found["url"].startswith("wss://cloister.amazonaws.com:")
        # Without the authority, the client does not talk to it.
        del variables["AWS_CA_BUNDLE"]
        without = python("import os; os.environ.pop('AWS_CA_BUNDLE', None)\n" + SDK, *before, **variables)
        assert without.returncode != 0 and "CERTIFICATE_VERIFY_FAILED" in without.stderr
