"""Files that come out of a page and go into one: downloads, uploads, pictures kept in the session, and the command line."""

import json
import os
import subprocess

import pytest

from acting import BROWSER, browser, client, server, site, until, variables  # noqa: F401
from local_site import REPORT

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")
MADE = "name;wert\nGröße 1;1.5\n".encode()
BLOB, SERVED = "größe.csv", "Bericht €.csv"


def downloaded(browser, site):  # noqa: F811
    """Both kinds of downloads, complete."""
    browser.act({"navigate": {"url": f"{site.url}/table"}}, {"click": {"selector": "#csv"}}, {"click": {"selector": "#report"}})

    def complete():
        listed = browser.act({"downloads": {}})[0]["value"]["downloads"]
        return len(listed) == 2 and all(one["state"] == "completed" for one in listed) and {one["name"]: one for one in listed}

    return until(complete)


def test_what_a_page_makes_and_what_a_server_sends_lie_in_the_files_under_their_own_names(browser, site):  # noqa: F811
    downloads = downloaded(browser, site)
    assert {name: one["path"] for name, one in downloads.items()} == {name: f"downloads/{name}" for name in (BLOB, SERVED)}
    assert downloads[SERVED]["url"] == f"{site.url}/report" and downloads[BLOB]["url"].startswith("blob:")
    assert browser.names("downloads") == {BLOB: len(MADE), SERVED: len(REPORT)}
    assert browser.file(f"downloads/{BLOB}") == (200, MADE)
    assert browser.file(f"downloads/{SERVED}") == (200, REPORT.encode())
    assert browser.file(f"downloads/{SERVED}", "DELETE")[0] == 204
    assert browser.file(f"downloads/{SERVED}")[0] == 404
    assert browser.names("downloads") == {BLOB: len(MADE)}


def test_a_file_of_the_session_is_uploaded_byte_for_byte_and_one_that_is_not_there_is_named(browser, site):  # noqa: F811
    content = bytes(range(256)) * 400
    assert browser.file("in/größe.bin", "PUT", content)[0] == 200
    form = {"navigate": {"url": f"{site.url}/form"}}
    send = {"click": {"selector": "text=Send"}}
    sent = browser.act(form, {"upload": {"selector": "#f", "paths": ["in/größe.bin"]}}, send, {"extract": {}})
    assert sent[-1]["text"] == "received"
    body = site.received.pop()
    assert 'filename="größe.bin"'.encode() in body and content in body
    failed = browser.fail(form, {"upload": {"selector": "#f", "paths": ["in/none.csv"]}}, send)
    assert (failed["index"], failed["code"]) == (1, "not_found") and "in/none.csv" in failed["message"]
    assert site.received == []


def test_a_picture_and_a_pdf_are_kept_in_the_session_when_a_path_is_named(browser, site):  # noqa: F811
    picture, pdf = browser.act({"navigate": {"url": f"{site.url}/long"}}, {"screenshot": {"path": "out/bild ä.png"}}, {"pdf": {"path": "out/a.pdf"}})[1:]
    for result, path, starts in ((picture, "out/bild ä.png", b"\x89PNG"), (pdf, "out/a.pdf", b"%PDF-")):
        assert "data" not in result and result["file"]["path"] == path
        status, data = browser.file(path)
        assert status == 200 and data.startswith(starts) and len(data) == result["size"]


@pytest.mark.parametrize(
    "tool, arguments",
    [
        ("readFiles", {"paths": ["kept.txt"]}),
        ("removeFiles", {"paths": ["kept.txt"]}),
        ("executeCode", {"code": "1", "language": "python"}),
    ],
)
def test_the_tools_of_a_code_interpreter_find_no_browser_session(browser, client, tool, arguments):  # noqa: F811
    assert browser.file("kept.txt", "PUT", b"kept")[0] == 200
    for identifier in ("aws.codeinterpreter.v1", BROWSER):
        named = {"codeInterpreterIdentifier": identifier, "sessionId": browser.id}
        with pytest.raises(client.exceptions.ResourceNotFoundException, match="no such"):
            client.invoke_code_interpreter(**named, name=tool, arguments=arguments)
    status, body = browser.ask("POST", f"/v1/sessions/{browser.id}/invoke", {"code": "1"})
    assert status == 400 and b"is a browser and runs no code" in body
    assert browser.file("kept.txt") == (200, b"kept")


def cloister(variables, *arguments, status: int = 0, **options) -> subprocess.CompletedProcess:  # noqa: F811
    ran = subprocess.run([CLOISTER, *arguments], env=variables, capture_output=True, timeout=120, **options)
    assert ran.returncode == status, (ran.returncode, ran.stdout, ran.stderr)
    return ran


def test_the_command_line_carries_out_a_file_of_actions_and_copies_files_out_and_in(browser, site, variables, tmp_path):  # noqa: F811
    actions = tmp_path / "actions.json"
    typed = {"evaluate": {"expression": "document.querySelector('[name=user]').value"}}
    actions.write_text(json.dumps([{"type": {"selector": "[name=user]", "text": "Zoë"}}, typed]))
    answer = json.loads(cloister(variables, "browse", site.url, "--actions", actions, "--json").stdout)
    assert answer["failed"] is None and [result["action"] for result in answer["results"]] == ["navigate", "type", "evaluate"]
    assert answer["results"][2]["value"] == "Zoë"
    following = b'[{"click": {"selector": "text=Next"}}, {"extract": {"what": "markdown"}}]'
    piped = cloister(variables, "browse", f"{site.url}/table", "--actions", "-", input=following)
    assert "| Größe 4 | 6.0 |" in piped.stdout.decode()
    actions.write_text(json.dumps([{"click": {"selector": "#gone"}}, {"back": {}}]))
    failed = cloister(variables, "browse", site.url, "--actions", actions, "--timeout", "4", "--json", status=1)
    answer = json.loads(failed.stdout)
    assert (answer["failed"]["index"], answer["failed"]["action"], answer["failed"]["code"]) == (1, "click", "not_found")
    assert "#gone" in failed.stderr.decode()

    downloaded(browser, site)
    copy = tmp_path / "copy.csv"
    cloister(variables, "cp", f"{browser.id}:downloads/{BLOB}", copy)
    assert copy.read_bytes() == MADE
    assert cloister(variables, "cp", f"{browser.id}:downloads/{SERVED}", "-").stdout == REPORT.encode()
    cloister(variables, "cp", copy, f"{browser.id}:in/")
    assert browser.file("in/copy.csv") == (200, MADE)
