"""Who may do what, and how much of it: boto3 against a server with access policies and quotas of its own."""

import json
import os
import pathlib
import subprocess

import pytest

import door
from server import Server
from test_auth import client, token

CLOISTER = os.environ.get("CLOISTER_BIN", "cloister")

POLICY = """
@id("acme-runs-python")
@advice("ask for another interpreter")
forbid (principal in Tenant::"acme", action == Action::"InvokeCode", resource)
unless { context has language && context.language == "python" };

@id("an-hour-at-most")
forbid (principal, action == Action::"StartSession", resource)
when { context.requestedLimits has timeout && context.requestedLimits.timeout > 3600 };
"""

CONFIG = """
[quotas.principals."acme/ann"]
sessions = 1
starts_per_minute = 2

[quotas.tenants.emca]
cpu_seconds = 0
"""


def written(folder: pathlib.Path, policy: str) -> list[str]:
    """The arguments of a server with this policy."""
    policies = folder / "policies"
    (policies / "access").mkdir(parents=True)
    (policies / "access" / "site.cedar").write_text(policy)
    (folder / "cloister.toml").write_text(CONFIG)
    return ["--pool", "0", "--config", str(folder / "cloister.toml"), "--policies", str(policies)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Server(*written(tmp_path_factory.mktemp("site"), POLICY)) as server:
        yield server


def caller(site: Server, tenant: str, name: str):
    made = token(site, "create", "--name", name, "--tenant", tenant, "--role", "user")
    return client(site, made["id"], made["secretAccessKey"]), made["token"]


def start(aws, **more) -> str:
    return aws.start_code_interpreter_session(codeInterpreterIdentifier=door.INTERPRETER, **more)["sessionId"]


def stop(aws, session: str) -> None:
    aws.stop_code_interpreter_session(codeInterpreterIdentifier=door.INTERPRETER, sessionId=session)


def run(aws, session: str, **code) -> list:
    answer = aws.invoke_code_interpreter(
        codeInterpreterIdentifier=door.INTERPRETER, sessionId=session, name="executeCode", arguments=code
    )
    return [event["result"] for event in answer["stream"] if "result" in event]


def test_a_policy_of_the_site_forbids_and_is_named(site):
    bob, _ = caller(site, "acme", "bob")
    with pytest.raises(bob.exceptions.AccessDeniedException, match="an-hour-at-most"):
        start(bob, sessionTimeoutSeconds=3601)
    session = start(bob, sessionTimeoutSeconds=3600)
    assert run(bob, session, code="6 * 7", language="python")
    with pytest.raises(bob.exceptions.AccessDeniedException, match=r"acme-runs-python.*site\.cedar:2") as caught:
        run(bob, session, code="6 * 7", language="javascript")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "Ask for another interpreter" in str(caught.value)
    stop(bob, session)


def test_quotas_are_402_and_429_with_a_time_to_wait(site):
    ann, bearer = caller(site, "acme", "ann")
    first = start(ann)
    with pytest.raises(ann.exceptions.ServiceQuotaExceededException, match="1 live sessions") as caught:
        start(ann)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402
    stop(ann, first)
    stop(ann, start(ann))
    with pytest.raises(ann.exceptions.ThrottlingException, match="quota is 2") as caught:
        start(ann)
    answer = caught.value.response["ResponseMetadata"]
    assert answer["HTTPStatusCode"] == 429
    assert 1 <= int(answer["HTTPHeaders"]["retry-after"]) <= 60

    command = [CLOISTER, "quota", "--endpoint", site.url, "--json"]
    shown = subprocess.run(command, env={"CLOISTER_TOKEN": bearer}, stdout=subprocess.PIPE, text=True, check=True)
    found = {(quota["quota"], quota["of"]): quota for quota in json.loads(shown.stdout)["quotas"]}
    assert (found["starts_per_minute", "principal"]["used"], found["sessions", "principal"]["limit"]) == (2, 1)


def test_a_tenant_without_cpu_time_starts_nothing(site):
    eve, _ = caller(site, "emca", "eve")
    with pytest.raises(eve.exceptions.ServiceQuotaExceededException, match="tenant emca"):
        start(eve)


def test_a_policy_that_is_not_whole_stops_the_server_with_file_and_line(tmp_path):
    broken = '\n@id("a") permit (principal, action == Action::"Fly", resource);\n'
    with pytest.raises(RuntimeError, match=r"access/site\.cedar:2.*Fly"):
        with Server(*written(tmp_path, broken)):
            pass
