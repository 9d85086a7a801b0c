"""Who is let in: botocore's signatures against the server's verification, keys by the command line, and a server without any."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import boto3
import jwt
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import door
from server import Server

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")
ARN = f"arn:aws:bedrock-agentcore:us-west-2:aws:code-interpreter/{door.INTERPRETER}"


@pytest.fixture(scope="module")
def guarded():
    """A server of this file's own, without ready sandboxes."""
    with Server("--pool", "0") as server:
        yield server


def token(server: Server, *arguments: str) -> dict | None:
    words = [CLOISTER, "token", *arguments, "--data-dir", server.folder.name, "--json"]
    ran = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout) if ran.stdout else None


def client(server: Server, key: str, secret: str, **options):
    return boto3.client(
        "bedrock-agentcore",
        endpoint_url=server.url,
        region_name="eu-central-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def listed(aws, identifier: str = door.INTERPRETER) -> list:
    return aws.list_code_interpreter_sessions(codeInterpreterIdentifier=identifier)["items"]


def test_what_env_exports_is_verified_and_nothing_else_is_let_in(guarded):
    variables = guarded.environment()
    key, secret = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    assert listed(client(guarded, key, secret)) == []
    assert listed(client(guarded, key, secret), ARN) == []
    for bad in (
        client(guarded, key, secret[:-1]),
        client(guarded, key, secret.swapcase()),
        client(guarded, "AKIDEXAMPLE", "x"),
        client(guarded, variables["CLOISTER_TOKEN"], variables["CLOISTER_TOKEN"]),
        client(guarded, key, secret, signature_version=UNSIGNED),
    ):
        with pytest.raises(bad.exceptions.AccessDeniedException) as caught:
            listed(bad)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_key_is_issued_used_listed_and_revoked_while_the_server_runs(guarded):
    made = token(guarded, "create", "--name", "ann", "--tenant", "acme", "--role", "viewer", "--expires", "1h")
    ann = client(guarded, made["id"], made["secretAccessKey"])
    assert listed(ann) == []
    with pytest.raises(ann.exceptions.AccessDeniedException, match="role user"):
        ann.start_code_interpreter_session(codeInterpreterIdentifier=door.INTERPRETER)
    [row] = [row for row in token(guarded, "list")["keys"] if row["id"] == made["id"]]
    assert (row["tenant"], row["name"], row["roles"], row["state"]) == ("acme", "ann", ["viewer"], "active")
    token(guarded, "revoke", made["id"])
    with pytest.raises(ann.exceptions.AccessDeniedException):
        listed(ann)
    [row] = [row for row in token(guarded, "list")["keys"] if row["id"] == made["id"]]
    assert row["state"] == "revoked"


def test_a_session_of_one_tenant_is_none_of_anothers(guarded):
    variables = guarded.environment()
    mine = client(guarded, variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    made = token(guarded, "create", "--name", "bob", "--tenant", "emca")
    bob = client(guarded, made["id"], made["secretAccessKey"])
    session = door.Session(mine)
    try:
        assert session.output("print(6 * 7)") == "42"
        with pytest.raises(bob.exceptions.ResourceNotFoundException):
            bob.get_code_interpreter_session(codeInterpreterIdentifier=door.INTERPRETER, sessionId=session.id)
        with pytest.raises(bob.exceptions.ResourceNotFoundException):
            bob.stop_code_interpreter_session(codeInterpreterIdentifier=door.INTERPRETER, sessionId=session.id)
        assert listed(bob) == [] and session.output("print(1)") == "1"
    finally:
        session.stop()


def fetch(url: str, headers: dict | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {})) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_botocores_signer_is_understood_wherever_it_puts_the_signature(guarded):
    variables = guarded.environment()
    credentials = Credentials(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"])
    # Escapes, an empty value, order, a plus: what canonical forms are about.
    for path in ("/v1/sessions?status=ready&limit=5", "/v1/sessions/a%20b", "/v1/sessions/x?b=%2B&a=&a=1", "/version", "/"):
        request = AWSRequest("GET", guarded.url + path)
        SigV4Auth(credentials, "bedrock-agentcore", "us-west-2").add_auth(request)
        status = fetch(guarded.url + path, dict(request.headers))
        assert status in (200, 400, 404), (path, status)
        assert fetch(guarded.url + path.replace("?", "?z=1&") if "?" in path else f"{guarded.url}{path}?z=1", dict(request.headers)) == 401
    page = f"{guarded.url}/browser-streams/aws.browser.v1/sessions/nobody/live-view"
    request = AWSRequest("GET", page)
    SigV4QueryAuth(credentials, "bedrock-agentcore", "us-west-2", expires=300).add_auth(request)
    assert fetch(request.url) == 404
    assert fetch(request.url.replace("Expires=300", "Expires=200")) == 401
    assert fetch(page) == 401


def test_a_first_start_shows_its_key_once_and_a_server_without_keys_says_so_on_its_command_line(tmp_path):
    with Server("--pool", "0") as server:
        server.log.flush()
        first = open(server.log.name).read()
        variables = server.environment()
        assert variables["AWS_SECRET_ACCESS_KEY"] in first and variables["CLOISTER_TOKEN"] in first
        assert oct(os.stat(os.path.join(server.folder.name, "credentials")).st_mode)[-3:] == "600"
    with Server("--pool", "0", "--no-auth") as server:
        assert listed(client(server, "none", "none")) == []
        assert fetch(f"{server.url}/v1/sessions") == 200
    for words in (["--listen", "0.0.0.0:0", "--unsafe-listen", "--no-auth"], ["--listen", "0.0.0.0:0"]):
        ran = subprocess.run(
            [CLOISTER, "serve", "--data-dir", str(tmp_path), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60
        )
        assert ran.returncode == 2 and "--" in ran.stderr, ran


def test_tokens_of_a_configured_identity_provider_speak_for_whom_they_name(tmp_path):
    """Signed by PyJWT, verified by the server: two implementations that know nothing of each other."""
    keys = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    public = [
        json.loads(jwt.get_algorithm_by_name(name).to_jwk(key.public_key())) | {"kid": name} for name, key in keys.items()
    ]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": public}))
    config = tmp_path / "cloister.toml"
    config.write_text(
        f"""[auth.jwt]
issuer = "https://id.example"
audience = ["cloister"]
jwks = "{tmp_path}/jwks.json"
"""
    )
    claims = {"iss": "https://id.example", "aud": "cloister", "sub": "ann", "tenant": "acme", "roles": ["viewer"]}
    with Server("--pool", "0", "--config", str(config)) as server:

        def status(name: str, key=None, **other) -> int:
            now = int(time.time())
            signed = jwt.encode(claims | {"exp": now + 60} | other, key or keys[name], algorithm=name, headers={"kid": name})
            return fetch(f"{server.url}/v1/sessions", {"authorization": f"Bearer {signed}"})

        for name in keys:
            assert status(name) == 200, name
            assert status(name, aud="other") == status(name, iss="x") == status(name, exp=1) == status(name, tenant="local") == 401
        assert status("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)) == 401
        # No route of its own tells a key from a token: issued keys go on working beside.
        assert fetch(f"{server.url}/v1/sessions", {"authorization": f"Bearer {server.environment()['CLOISTER_TOKEN']}"}) == 200


def test_the_command_line_finds_the_key_of_the_server_on_the_same_machine(tmp_path):
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    for name in ("CLOISTER_IMAGES", "CLOISTER_CACHE"):
        if name in os.environ:
            home[name] = os.environ[name]
    with Server("--pool", "0") as server:
        folder = tmp_path / ".local" / "share"
        folder.mkdir(parents=True)
        (folder / "cloister").symlink_to(server.folder.name)
        words = [CLOISTER, "ls", "--endpoint", server.url]
        assert subprocess.run(words, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode == 0
        # Another server, even on this machine, is not told.
        stranger = subprocess.run([*words[:-1], server.url.replace("127.0.0.1", "localhost")], env=home, capture_output=True, text=True)
        assert stranger.returncode == 125 and "credential" in stranger.stderr, stranger
