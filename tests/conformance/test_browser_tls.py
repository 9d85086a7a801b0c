"""TLS pages through a session's own proxy (`proxyConfiguration`), and what becomes of pages whose certificates are wrong, by stock boto3 and
Playwright: the proxy's log says what it was asked to connect to, the origin's what arrived behind the tunnel.
"""

import contextlib

import boto3
import pytest
from playwright.sync_api import Error, sync_playwright

import needs
from proxy import Loopback
from secure import IMAGES, Authority, Origin
from server import Server
from test_browser_proxy import POLICY, by

TRUSTING, SHELL = "trusting-abcdefghij", "shell-abcdefghij"


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A proxy that leads to one origin whatever it is asked for, and a client of a server with two browsers."""
    if not (IMAGES / "chromium/current").exists():
        needs.skip("the image `chromium` has not been built (make images)")
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(), Authority()
    contexts = {
        "shop.test": authority.context(folder, "shop.test"),
        "expired.test": authority.context(folder, "expired.test", -30, -1),
        "early.test": authority.context(folder, "early.test", 1, 30),
        "foreign.test": authority.context(folder, "elsewhere.test"),
        "alone.test": Authority("alone.test").context(folder, "alone.test", own=True),
        "unknown.test": stranger.context(folder, "unknown.test"),
    }
    policies = folder / "policies"
    policies.mkdir()
    for policy, image in (("trusting", "trusting"), ("shell", "headless-shell")):
        (policies / f"{policy}.toml").write_text(POLICY.format(port=443).replace("headless-shell", image))
    config = folder / "cloister.toml"
    config.write_text(f'[interpreters.{TRUSTING}]\npolicy = "trusting"\n[interpreters.{SHELL}]\npolicy = "shell"\n')
    with Origin(contexts) as origin, Loopback("by proxy", tunnel=origin.server_address) as proxy:
        arguments = ["--allow-loopback", f"127.0.0.1:{proxy.port}", "--pool", "0", "--images", str(authority.image(folder))]
        with Server(*arguments, "--config", str(config), "--policies", str(policies)) as server:
            variables = server.environment()
            aws = boto3.client(
                "bedrock-agentcore",
                endpoint_url=variables["AWS_ENDPOINT_URL_BEDROCK_AGENTCORE"],
                region_name="us-west-2",
                aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            )
            yield aws, proxy, origin


@pytest.fixture
def browse(place, playwright):
    """A client of a session with the proxy for `.test`, and logs that begin with it."""
    aws, proxy, origin = place
    proxy.log.clear()
    origin.log.clear()
    with contextlib.ExitStack() as ends:

        def browse(browser: str):
            configuration = {"proxies": [{"externalProxy": by(proxy, ".test")}]}
            started = aws.start_browser_session(browserIdentifier=browser, proxyConfiguration=configuration)
            ends.callback(aws.stop_browser_session, browserIdentifier=browser, sessionId=started["sessionId"])
            client = playwright.chromium.connect_over_cdp(started["streams"]["automationStream"]["streamEndpoint"])
            ends.callback(client.close)
            return client

        yield browse


def asked(log: list[str]) -> set[str]:
    return {line for line in log if not line.endswith("/favicon.ico")}


def test_a_tls_page_goes_through_the_proxy_as_a_tunnel_whose_inside_it_does_not_see(place, browse):
    _, proxy, origin = place
    page = browse(TRUSTING).contexts[0].pages[0]
    answer = page.goto("https://shop.test/secret?path=x")
    assert (page.title(), answer.status) == ("secure", 200)
    assert answer.security_details()["issuer"] == "the authority of a test"
    assert page.evaluate("fetch('/again').then(answer => answer.status)") == 200
    assert asked(proxy.log) == {"CONNECT shop.test:443"}
    assert asked(origin.log) == {"shop.test GET /secret?path=x", "shop.test GET /again"}


@pytest.mark.parametrize(
    "host, error",
    [
        ("expired.test", "ERR_CERT_DATE_INVALID"),
        ("early.test", "ERR_CERT_DATE_INVALID"),
        ("foreign.test", "ERR_CERT_COMMON_NAME_INVALID"),
        ("unknown.test", "ERR_CERT_AUTHORITY_INVALID"),
        ("alone.test", "ERR_CERT_AUTHORITY_INVALID"),
    ],
)
def test_a_page_with_a_wrong_certificate_is_not_loaded_and_nothing_is_sent_to_it(place, browse, host, error):
    _, proxy, origin = place
    client = browse(TRUSTING)
    with pytest.raises(Error, match=error):
        client.contexts[0].pages[0].goto(f"https://{host}/")
    # The client cannot lift that, for new contexts neither.
    with pytest.raises(Error, match="certificate errors cannot be ignored in this session"):
        client.new_context(ignore_https_errors=True).new_page()
    with pytest.raises(Error, match=error):
        client.new_context().new_page().goto(f"https://{host}/")
    # It was not for want of a way there.
    assert f"CONNECT {host}:443" in proxy.log and not origin.log


def test_a_browser_that_does_not_know_the_authority_loads_none_of_its_pages(place, browse):
    _, proxy, origin = place
    client = browse(SHELL)
    for host in ("shop.test", "expired.test", "foreign.test", "unknown.test", "alone.test"):
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            client.contexts[0].new_page().goto(f"https://{host}/")
        assert f"CONNECT {host}:443" in proxy.log
    assert not origin.log
