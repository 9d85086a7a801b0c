"""Every constraint of the service model on browsers is enforced by the server, also where clients do not check it."""

import pytest

import model
from test_validation import answer_to, assert_refused, careless  # noqa: F401 (careless is a fixture)

BAD = list(model.bad_cases(model.BROWSER_OPERATIONS))
GOOD = list(model.good_cases(model.BROWSER_OPERATIONS))
# The model has them, and this server does not: they name AWS resources. Whatever is in them, they are refused by name.
NOT_OFFERED = ("extensions", "enterprisePolicies", "certificates", "filesystemConfigurations")


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_value_beyond_a_constraint_is_refused_by_the_name_of_its_member(careless, case):  # noqa: F811
    assert_refused(answer_to(careless, case), case.field)


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_a_value_at_a_limit_passes(careless, case):  # noqa: F811
    response = answer_to(careless, case)
    if case.field.startswith(NOT_OFFERED):
        assert_refused(response, case.field.split("[")[0])
        return
    assert response["Error"]["Code"] == "ResourceNotFoundException", response


def test_the_model_has_been_walked_whole():
    """Guards the generator: these are constraints that a reader of the model finds."""
    seen = {(case.operation, case.field, case.what) for case in BAD}
    assert {
        ("StartBrowserSession", "viewPort.width", "319"),
        ("StartBrowserSession", "viewPort.height", "2161"),
        ("StartBrowserSession", "viewPort.height", "absent"),
        ("StartBrowserSession", "proxyConfiguration.proxies", "6 entries"),
        ("StartBrowserSession", "proxyConfiguration.proxies[0].externalProxy.port", "65536"),
        ("StartBrowserSession", "proxyConfiguration.proxies[0].externalProxy.domainPatterns[0]", "254 characters"),
        ("StartBrowserSession", "proxyConfiguration.bypass.domainPatterns", "0 entries"),
        ("UpdateBrowserStream", "streamUpdate", "no member of the union"),
        ("UpdateBrowserStream", "streamUpdate.automationStreamUpdate.streamStatus", "no word of the enum"),
        ("InvokeBrowser", "action", "two members of the union"),
        ("InvokeBrowser", "action.mouseClick.clickCount", "11"),
        ("InvokeBrowser", "action.mouseScroll.deltaY", "-1001"),
        ("InvokeBrowser", "action.keyType.text", "10001 characters"),
        ("InvokeBrowser", "action.keyShortcut.keys", "6 entries"),
    } <= seen
