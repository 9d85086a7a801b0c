"""Calls that take longer than clients wait in silence. They begin with the run (long_calls.py) and are looked at in its end."""

import pytest
from botocore.exceptions import EventStreamError

from long_calls import SECONDS

pytestmark = pytest.mark.last


def test_heartbeats_keep_a_call_alive_beyond_the_read_timeout_of_boto3(long_calls):
    result = long_calls["boto"].result()
    assert (
        result["structuredContent"]["stdout"] == "patience" and result["structuredContent"]["executionTime"] >= SECONDS
    )


def test_a_long_call_answers_with_heartbeats_and_exactly_one_result(long_calls):
    answer = long_calls["raw"].result()
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    kinds = [headers[":event-type"] for headers, _ in answer.messages()]
    assert kinds[:-1] == ["heartbeat"] * 2 and kinds[-1] == "result"
    assert {headers[":message-type"] for headers, _ in answer.messages()} == {"event"}


def test_an_error_after_the_answer_has_begun_is_an_exception_in_the_stream(long_calls):
    with pytest.raises(EventStreamError) as caught:
        long_calls["stopped"].result()
    assert caught.value.response["Error"]["Code"] == "conflictException"
    assert "stopped" in caught.value.response["Error"]["Message"]
