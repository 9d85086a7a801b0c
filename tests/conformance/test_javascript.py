"""The JavaScript AWS SDK."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

import door

CLIENT = pathlib.Path(__file__).parent / "js" / "client.mjs"


@pytest.fixture(scope="module")
def seen():
    """What the JavaScript client saw; see js/client.mjs."""
    # Node looks for packages beside the program, and they lie in the cache.
    program = pathlib.Path(os.environ["CLOISTER_CONFORMANCE_JS"], CLIENT.name)
    shutil.copyfile(CLIENT, program)
    ran = subprocess.run(
        ["node", program, door.INTERPRETER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def test_the_javascript_sdk_starts_a_session_and_runs_code_in_it(seen):
    assert seen["created"] is True
    assert (seen["status"], seen["listed"]) == ("READY", True)
    assert seen["python"]["structuredContent"]["stdout"] == "42" and seen["python"]["isError"] is False
    assert seen["slow"]["structuredContent"]["stdout"] == "done"


def test_the_javascript_sdk_sees_the_traceback_in_the_text(seen):
    assert seen["failed"]["isError"] is True and "ZeroDivisionError" in seen["failed"]["content"][0]["text"]


def test_the_javascript_sdk_moves_files_byte_for_byte(seen):
    assert seen["written"] == {
        "content": [{"type": "text", "text": "Successfully wrote all 2 files"}],
        "isError": False,
    }
    assert (seen["binary"], seen["text"], seen["large"]) == (True, "größe", 17 << 20)


def test_the_javascript_sdk_gets_modelled_errors(seen):
    assert seen["validation"] == {
        "modelled": True,
        "reason": "FieldValidationFailed",
        "fields": ["maxResults"],
        "status": 400,
    }
    assert seen["stopped"] == {"modelled": True, "status": 404}
