"""Many calls and many sessions at once."""

import concurrent.futures
import threading

import door


def test_ten_threads_on_one_session_take_turns_and_all_get_their_own_answer(session):
    session.aws = door.client(max_pool_connections=20)
    session.python("total = 0")
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        code = "before = total; import time; time.sleep(0.01); total = before + 1; print({0})"
        answers = list(pool.map(lambda index: session.output(code.format(index)), range(50)))
    assert answers == [str(index) for index in range(50)]
    assert session.output("print(total)") == "50"


def test_files_and_tasks_are_served_while_code_runs(session):
    session.aws = door.client(max_pool_connections=4)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            session.python, "import time, os\nwhile not os.path.exists('stop'): time.sleep(0.01)\nprint('stopped')"
        )
        session.call("writeFiles", content=[{"path": "a", "text": "while it runs"}])
        assert session.read("a") == b"while it runs"
        task = session.call("startCommandExecution", command="cat a")["structuredContent"]["taskId"]
        while session.call("getTask", taskId=task)["structuredContent"]["taskStatus"] != "completed":
            pass
        assert not running.done()
        session.call("writeFiles", content=[{"path": "stop", "text": ""}])
        assert running.result()["structuredContent"]["stdout"] == "stopped"


def test_twenty_sessions_at_once_know_nothing_of_each_other(aws):
    at_once = threading.Barrier(20)

    def one(index: int) -> str:
        mine = door.Session(door.client())
        try:
            at_once.wait(60)
            mine.python(f"secret = {index}")
            mine.call("writeFiles", content=[{"path": "mine.txt", "text": str(index)}])
            return mine.output("import os; print(secret, open('mine.txt').read(), len(os.listdir('.')))")
        finally:
            mine.stop()

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(20))) == [f"{index} {index} 1" for index in range(20)]


def test_streams_that_nobody_reads_hold_nothing_up(session):
    session.aws = door.client(max_pool_connections=50)
    unread = [session.invoke("executeCode", code=f"print({index})", language="python") for index in range(20)]
    assert session.output("print('next')") == "next"
    assert [next(iter(answer["stream"]))["result"]["structuredContent"]["stdout"] for answer in unread] == [
        str(i) for i in range(20)
    ]
