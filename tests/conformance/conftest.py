"""Fixtures: a stock boto3 client, and sessions that end with their test."""

import os

import pytest

import door
from long_calls import begun as long_calls_begun


@pytest.fixture(scope="session", autouse=True)
def server_of_the_run():
    assert (
        "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE" in os.environ
    ), "run this with run.sh: it starts the server that is tested"


@pytest.fixture(scope="session", autouse=True)
def long_calls(request, server_of_the_run):
    """Runs beside all other tests, if a test wants it."""
    if not any(item.get_closest_marker("last") for item in request.session.items):
        yield None
        return
    with long_calls_begun() as calls:
        yield calls


@pytest.fixture(scope="session")
def aws():
    """Stock boto3, as anybody makes it."""
    return door.client()


@pytest.fixture
def start(aws):
    """Starts sessions; all are stopped when the test ends."""
    started = []

    def start(interpreter: str = door.INTERPRETER, **options) -> door.Session:
        started.append(door.Session(aws, interpreter, **options))
        return started[-1]

    yield start
    for session in started:
        session.stop()


@pytest.fixture
def session(start):
    """A fresh session."""
    return start()


@pytest.fixture(scope="module")
def shared(aws):
    """A session for tests of one file that do not get into each other's way. It starts sooner than one for each."""
    session = door.Session(aws)
    yield session
    session.stop()


def pytest_collection_modifyitems(items):
    """Tests that look at long calls come last: the calls run meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_configure(config):
    config.addinivalue_line("markers", "last: looks at something that was begun at the start of the run and takes long")
