"""A browser session's own proxies (`proxyConfiguration`), by stock boto3: the proxy's log says which requests went through it.

The server is one of its own: it is told at its start which loopback address is the proxy's, and has a policy with one more range and port.
"""

import contextlib

import boto3
import pytest
from playwright.sync_api import sync_playwright

from proxy import Loopback, echo
from server import HERE, Server

BROWSER = "direct-abcdefghij"
# A literal of this machine that is no target of --allow-loopback: a request for it is judged and routed as any other.
ORIGIN = "127.0.0.2"
POLICY = """
description = "a browser that reaches one more range"
tier = "browser"
image = "headless-shell"
start = "exec"
[network]
mode = "open"
ports = [80, {port}]
allowed_cidrs = ["127.0.0.2/32"]
[resources]
memory = "2GiB"
pids = 512
open_files = 4096
[filesystem]
disk = "1GiB"
max_file = "1GiB"
[languages]
runtimes = []
shell = false
[isolation]
seccomp = "seccomp/browser.json"
"""
SAY = """url => new Promise((found, failed) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('Grüße');
    socket.onmessage = event => { found(event.data); socket.close(); };
    socket.onerror = () => failed(new Error('no socket'));
})"""


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A proxy that the operator has named, one that nobody has, an origin, and a client of a server that knows of the first."""
    folder = tmp_path_factory.mktemp("proxy")
    with (
        echo() as far,
        Loopback("by proxy", tunnel=far) as named,
        Loopback("by the other", tunnel=far) as unnamed,
        Loopback("direct", ORIGIN) as origin,
    ):
        policies = folder / "policies"
        policies.mkdir()
        (policies / "direct.toml").write_text(POLICY.format(port=origin.port))
        config = folder / "cloister.toml"
        config.write_text(f'[interpreters.{BROWSER}]\npolicy = "direct"\n')
        arguments = ["--allow-loopback", f"127.0.0.1:{named.port}", "--pool", "0"]
        with Server(*arguments, "--config", str(config), "--policies", str(policies)) as server:
            variables = server.environment()
            aws = boto3.client(
                "bedrock-agentcore",
                endpoint_url=variables["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"],
                region_name="us-west-2",
                aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            )
            yield aws, named, unnamed, origin


@pytest.fixture
def browse(place, playwright):
    """A page of a session with these proxies, and logs that begin with it."""
    aws, *others = place
    for other in others:
        other.log.clear()
    with contextlib.ExitStack() as ends:

        def browse(*proxies: dict, **more):
            configuration = {"proxies": [{"externalProxy": proxy} for proxy in proxies], **more}
            started = aws.start_browser_session(browserIdentifier=BROWSER, proxyConfiguration=configuration)
            where = {"browserIdentifier": BROWSER, "sessionId": started["sessionId"]}
            ends.callback(aws.stop_browser_session, **where)
            assert aws.get_browser_session(**where)["proxyConfiguration"] == configuration
            browser = playwright.chromium.connect_over_cdp(started["streams"]["automationStream"]["streamEndpoint"])
            ends.callback(browser.close)
            return browser.contexts[0].pages[0]

        yield browse


def by(proxy: Loopback, *patterns: str) -> dict:
    return {"server": proxy.address, "port": proxy.port} | ({"domainPatterns": list(patterns)} if patterns else {})


def asked(proxy: Loopback) -> list[str]:
    """What a proxy was asked for; a browser asks every site for its icon as well, whenever it likes."""
    return [line for line in proxy.log if not line.endswith("/favicon.ico")]


def test_requests_go_through_the_proxy_whose_patterns_match_and_no_others(place, browse):
    _, named, _, origin = place
    page = browse(by(named, "shop.test", ".example.test"))
    for url in ("http://shop.test/a", "http://www.example.test/b", "http://a.b.example.test/c"):
        page.goto(url)
        assert (page.title(), url in page.content()) == ("by proxy", True)
    # An exact name is not those below it, and names below one are not that one: both go direct, where nobody knows them.
    for url in ("http://www.shop.test/d", "http://example.test/e", "http://notexample.test/f"):
        answer = page.goto(url)
        assert answer.status == 502 and "cannot be resolved" in answer.text()
    page.goto(f"http://{ORIGIN}:{origin.port}/g")
    assert page.title() == "direct" and asked(origin) == ["GET /g"]
    expected = ["http://shop.test/a", "http://www.example.test/b", "http://a.b.example.test/c"]
    assert asked(named) == [f"GET {url}" for url in expected]


def test_without_patterns_a_proxy_takes_everything_but_what_bypasses_it(place, browse):
    _, named, _, origin = place
    url = f"http://{ORIGIN}:{origin.port}/"
    page = browse(by(named), bypass={"domainPatterns": ["shop.test", ".example.test"]})
    page.goto(url)
    assert page.title() == "by proxy" and asked(named) == [f"GET {url}"] and not origin.log
    for bypassing in ("http://shop.test/", "http://www.example.test/"):
        assert page.goto(bypassing).status == 502
    page.goto("http://www.shop.test/")
    assert asked(named) == [f"GET {url}", "GET http://www.shop.test/"]


def test_what_bypasses_the_proxy_arrives(place, browse):
    _, named, _, origin = place
    page = browse(by(named), bypass={"domainPatterns": [ORIGIN]})
    page.goto(f"http://{ORIGIN}:{origin.port}/here")
    assert page.title() == "direct" and asked(origin) == ["GET /here"] and not named.log


def test_a_tunnel_goes_through_the_proxy_and_carries_both_ways(place, browse):
    _, named, _, _ = place
    page = browse(by(named, "socket.test"))
    assert page.evaluate(SAY, "ws://socket.test/") == "Grüße"
    assert asked(named) == ["CONNECT socket.test:80"]


def test_the_first_of_two_proxies_that_matches_is_taken(place, browse):
    """The second one is closed to sessions: what it would have to carry is refused, and nothing falls back to another way."""
    _, named, unnamed, origin = place
    page = browse(by(named, "shop.test"), by(unnamed))
    page.goto("http://shop.test/")
    assert page.title() == "by proxy"
    answer = page.goto(f"http://{ORIGIN}:{origin.port}/")
    assert answer.status == 403 and not origin.log and not unnamed.log
    assert asked(named) == ["GET http://shop.test/"]


def test_a_proxy_that_sessions_may_not_reach_is_refused_with_the_reason(place, browse):
    _, _, unnamed, _ = place
    answer = browse(by(unnamed)).goto("http://shop.test/")
    where, text = f"127.0.0.1:{unnamed.port}", answer.text()
    assert answer.status == 403 and f"cloister refused {where}: 127.0.0.1 leads to a loopback address" in text
    assert f"{where} is the session's upstream proxy for shop.test:80" in text
    assert f"--allow-loopback {where}" in text and not unnamed.log


def test_credentials_of_a_proxy_are_refused_by_name(place):
    aws, named, _, _ = place
    secret = "arn:aws:secretsmanager:us-west-2:123456789012:secret:proxy-AbCdEf"
    proxy = by(named) | {"credentials": {"basicAuth": {"secretArn": secret}}}
    with pytest.raises(aws.exceptions.ValidationException) as error:
        aws.start_browser_session(browserIdentifier=BROWSER, proxyConfiguration={"proxies": [{"externalProxy": proxy}]})
    (field,) = error.value.response["fieldList"]
    assert field["name"] == "proxyConfiguration.proxies[0].externalProxy.credentials"
    assert "Secrets Manager" in field["message"] and not named.log
