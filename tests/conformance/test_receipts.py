"""Receipts of calls that boto3 makes: from the audit log and the native door, checked without the server that signed them."""

import hashlib
import json
import os
import pathlib
import subprocess
import urllib.request

import pytest

from server import Server
from test_access import caller, run, start, stop

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")
CODE = "open('out.txt', 'w').write('hello'); print('done')"


def cloister(*arguments: str, status: int = 0) -> str:
    ran = subprocess.run([CLOISTER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ran.returncode == status, (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout


class Kept:
    """What somebody has kept of a server that is gone: receipts and its public key."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.key = folder / "key"

    def verify(self, receipt: str, status: int = 0) -> str:
        kept = self.folder / "receipt.json"
        kept.write_text(receipt)
        return cloister("receipt", "verify", str(kept), "--key", str(self.key), status=status)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A receipt from the log, one from a native answer, and the key; their server has ended and its folder is removed."""
    kept = Kept(tmp_path_factory.mktemp("receipts"))
    with Server("--pool", "0", "--browser-pool", "0") as server:
        aws, bearer = caller(server, "acme", "ann")
        session = start(aws)
        [result] = run(aws, session, code=CODE, language="python")
        assert result["structuredContent"]["stdout"] == "done", result
        found = cloister(
            "audit", "search", "--action", "receipt", "--session", session, "--json", "--data-dir", server.folder.name
        )
        [record] = [json.loads(line) for line in found.splitlines()]

        def native(path: str, body: dict | None = None) -> dict:
            headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(server.url + path, data=data, headers=headers)
            return json.load(urllib.request.urlopen(request, timeout=60))

        answer = native(f"/v1/sessions/{session}/invoke", {"code": "1 + 1"})
        kept.key.write_text(native("/v1/receipt-key")["value"])
        stop(aws, session)
    return kept, session, record["detail"]["receipt"], answer


def test_the_receipt_of_a_boto3_call_says_what_ran_and_what_it_did(made):
    _, session, receipt, _ = made
    payload = receipt["payload"]
    assert (payload["session"], payload["tool"], payload["exit_code"]) == (session, "executeCode", 0)
    assert payload["code_sha256"] == hashlib.sha256(CODE.encode()).hexdigest()
    hello = hashlib.sha256(b"hello").hexdigest()
    assert payload["files"] == [{"path": "out.txt", "size": 5, "created": True, "sha256": hello}]
    assert len(payload["image_digest"]) == 64 and payload["tier"] == "process"
    assert payload["policy"]["name"] == "default" and len(payload["policy"]["version"]) == 64
    for name in ["wall_us", "bytes_written", "bytes_read"]:
        assert payload[name] > 0, payload
    assert payload["bytes_written"] >= 5


def test_receipts_are_verified_without_their_server_as_they_are_and_as_other_programs_write_them(made):
    kept, _, receipt, answer = made
    for text in [
        json.dumps(receipt),
        json.dumps(receipt, indent=4, ensure_ascii=False),
        json.dumps(receipt, sort_keys=True, separators=(",", ":")),
        json.dumps(answer),
    ]:
        assert kept.verify(text).startswith("good: signed by the key ")


def test_a_receipt_with_one_changed_byte_is_bad_wherever_it_is(made):
    kept, _, receipt, _ = made
    payload = receipt["payload"]
    for name, value in payload.items():
        match value:
            case bool() | None:
                other = not value
            case int():
                other = value + 1
            case str():
                other = ("b" if value[0] == "a" else "a") + value[1:]
            case list():
                other = [*value, "x"]
            case dict():
                other = value | {"x": 1}
        changed = receipt | {"payload": payload | {name: other}}
        assert "something in it was changed" in kept.verify(json.dumps(changed), status=1), name
        gone = {key: kept_value for key, kept_value in payload.items() if key != name}
        kept.verify(json.dumps(receipt | {"payload": gone}), status=1)
    value = receipt["signature"]["value"]
    changed = receipt | {"signature": receipt["signature"] | {"value": ("b" if value[0] == "a" else "a") + value[1:]}}
    kept.verify(json.dumps(changed), status=1)


def test_another_servers_key_is_no_proof(made):
    kept, _, receipt, _ = made
    other = kept.folder / "other"
    other.write_text(cloister("receipt", "key", "--data-dir", str(kept.folder / "data")))
    text = kept.folder / "receipt.json"
    text.write_text(json.dumps(receipt))
    assert "it was signed by the key" in cloister("receipt", "verify", str(text), "--key", str(other), status=1)
