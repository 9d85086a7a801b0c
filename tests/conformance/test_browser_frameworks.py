"""Agent frameworks that bring the AWS browser to their agents, unmodified, under `cloister run -- python app.py`: LangChain's toolkit and
Strands' tool, without a model. Each signs in to a site of the test's own and reads what it shows.
"""

import json
import os
import subprocess
import sys
import urllib.request

import pytest

from local_site import PASSWORD, Site
from server import Server

# What both do, by the names of the tools of each.
LANGCHAIN = """
import asyncio, json, sys
from langchain_aws.tools import create_browser_toolkit
url, password, way = sys.argv[1:]
toolkit, _ = create_browser_toolkit(region="us-west-2")
tools = toolkit.get_tools_by_name()
config = {"configurable": {"thread_id": "a conversation"}}
# The tool's own way of saying "visible" (`visible=1`) selects what is hidden in the Playwright of today.
tools["click_element"].visible_only = False
STEPS = [
    ("navigate_browser", {"url": url + "/"}),
    ("type_text", {"selector": "[name=user]", "text": "Grüße"}),
    ("type_text", {"selector": "[name=password]", "text": password}),
    ("click_element", {"selector": "button"}),
    ("wait_for_element", {"selector": "#user"}),
    ("extract_text", {}),
    ("current_webpage", {}),
    ("get_elements", {"selector": "tbody td"}),
    ("navigate_browser", {"url": "http://169.254.169.254/latest/meta-data/"}),
    ("extract_text", {}),
]

async def by_await():
    said = [await tools[name].ainvoke(arguments, config=config) for name, arguments in STEPS]
    sessions = toolkit.get_active_sessions()
    await toolkit.cleanup()
    return said, sessions

def by_call():
    said = [tools[name].invoke(arguments, config=config) for name, arguments in STEPS]
    sessions = toolkit.get_active_sessions()
    for key in sessions:
        toolkit.session_manager.close_sync_browser(key)
    return said, sessions

said, sessions = asyncio.run(by_await()) if way == "await" else by_call()
print(json.dumps([said, [session["session_id"] for session in sessions.values()]]))
"""
STRANDS = """
import json, sys
from strands import Agent
from strands_tools.browser import AgentCoreBrowser
url, password = sys.argv[1:]
browser = AgentCoreBrowser(region="us-west-2", session_timeout=300)
agent = Agent(tools=[browser.browser], callback_handler=None)
here = {"session_name": "a-conversation"}
def act(**action):
    return agent.tool.browser(browser_input={"action": action}, record_direct_tool_call=False)
said = [
    act(type="init_session", description="a conformance test", **here),
    act(type="navigate", url=url + "/", **here),
    act(type="type", selector="[name=user]", text="Grüße", **here),
    act(type="type", selector="[name=password]", text=password, **here),
    act(type="click", selector="button", **here),
    act(type="get_text", selector="#user", **here),
    act(type="get_html", selector="tbody", **here),
    act(type="evaluate", script="6 * 7", **here),
    act(type="new_tab", tab_id="second", **here),
    act(type="navigate", url=url + "/tab", **here),
    act(type="get_text", selector="h1", **here),
    act(type="list_tabs", **here),
    act(type="close", **here),
]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def place():
    """A site, and the variables of a server whose sessions may reach it."""
    with Site() as site, Server("--allow-loopback", site.address, "--pool", "0") as server:
        yield site, server.environment()


def run(place, code: str, tmp_path, *arguments: str):
    """What a program of its own file prints last, under `cloister run --`."""
    site, variables = place
    app = tmp_path / "app.py"
    app.write_text(code)
    command = [variables["CLOISTER_BIN"], "run", "--", sys.executable, app, site.url, PASSWORD, *arguments]
    # Neither framework tells anybody of its runs.
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "LANGSMITH_TRACING": "false", "BYPASS_TOOL_CONSENT": "true"}
    ran = subprocess.run(command, env=variables | quiet, capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def sessions(place, status: str) -> list[str]:
    """Ids of the sessions of a status."""
    _, variables = place
    url = f"{variables['AWS_ENDPOINT_URL_BEDROCK_AGENTCORE']}/v1/sessions?status={status}"
    asked = urllib.request.Request(url, headers={"authorization": f"Bearer {variables['CLOISTER_TOKEN']}"})
    with urllib.request.urlopen(asked) as answer:
        return [session["id"] for session in json.load(answer)["sessions"]]


@pytest.mark.parametrize("way", ["call", "await"])
def test_langchains_browser_toolkit_signs_in_and_reads(place, tmp_path, way):
    site, _ = place
    said, used = run(place, LANGCHAIN, tmp_path, way)
    opened, *_, text, where, cells, refused, refusal = said
    assert opened == f"Navigating to {site.url}/ returned status code 200"
    assert "Grüße r" in text and "Größe 1" in text and "Größe 7" not in text
    assert where == f"URL: {site.url}/table?page=1\nTitle: Page 1" and "Größe 3" in cells
    assert refused.endswith("returned status code 403") and "cloud metadata service" in refusal
    # Its end is the end of its session.
    assert len(used) == 1 and used[0] in sessions(place, "terminated")


def test_strands_browser_tool_signs_in_and_reads(place, tmp_path):
    said = run(place, STRANDS, tmp_path)
    assert [answer["status"] for answer in said] == ["success"] * len(said), said
    texts = [answer["content"][0].get("text", "") for answer in said]
    assert "Grüße r" in texts[5], said
    assert "Größe 1" in texts[6] and "42" in texts[7] and "A new tab" in texts[10]
    assert "second" in json.dumps(said[11])
    # The tool keeps no list of what it has started, so closing it leaves the session to its time to live, as on AWS.
    assert len(sessions(place, "ready")) == 1
