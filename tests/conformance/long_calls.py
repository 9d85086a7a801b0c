"""Calls that take long, begun at the start of the run so that nobody waits for them alone."""

import concurrent.futures
import contextlib

import door

# An answer begins after 10 s at the latest, and a heartbeat comes every 15 s after that.
SECONDS = 32
# Shorter than the call, longer than any silence that is promised.
PATIENCE = 18


@contextlib.contextmanager
def begun():
    """Three calls in sessions of their own: one of boto3, one without an SDK, and one whose session is stopped under it."""
    aws = door.client(read_timeout=PATIENCE, retries={"total_max_attempts": 1})
    sessions = [door.Session(aws) for _ in range(3)]
    boto, raw, stopped = sessions

    def stop_in_the_middle():
        # boto3 returns when the answer begins, and that is with the first heartbeat.
        stream = stopped.invoke("executeCommand", command="sleep 60")["stream"]
        stopped.stop()
        return list(stream)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        yield {
            "boto": pool.submit(boto.python, f"import time; time.sleep({SECONDS}); print('patience')"),
            "raw": pool.submit(door.invoke, raw.id, "executeCommand", {"command": f"sleep {SECONDS}; echo patience"}),
            "stopped": pool.submit(stop_in_the_middle),
        }
        # A run that is broken off does not wait either.
        for session in sessions:
            session.stop()
