"""What a test needs of the host. A need that is not met is a skip with its reason, and a failure under `REQUIRE=all`, which CI sets."""

import os

import pytest


def skip(why: str):
    """Ends the test."""
    if os.environ.get("REQUIRE") == "all":
        pytest.fail(f"REQUIRE=all, but {why}")
    pytest.skip(why)
