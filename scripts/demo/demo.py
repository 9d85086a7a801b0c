"""A data analysis on a server of one's own, by stock boto3. Started by scripts/demo.sh.

    demo.py OUTPUT     the folder for the files that the session makes

Where the server is stands in the environment, put there by `cloister env`. Nothing below knows that it is not AWS, except
`with_deadline`, which goes through the native door because the AWS API has no word for it.
"""

import json
import os
import pathlib
import statistics
import sys
import textwrap
import time
import urllib.request

import boto3

import orders

INTERPRETER = "aws.codeinterpreter.v1"
CELLS = sorted(pathlib.Path(__file__).parent.glob("cells/*.py"))


def section(title: str) -> None:
    print(f"\n── {title} {'─' * max(0, 96 - len(title))}\n")


def indented(text: str) -> str:
    """Set in from the margin; sentences that are too long for the page are wrapped, tables never are."""
    lines = (textwrap.wrap(line, 96) if len(line) > 110 else [line] for line in text.splitlines())
    return "\n".join(f"   {line}".rstrip() for wrapped in lines for line in wrapped)


def size(count: int) -> str:
    return f"{count / 1024:,.1f} KiB" if count >= 1024 else f"{count} B"


class Timed:
    """`with Timed() as took:` and then `took.ms`."""

    def __enter__(self) -> "Timed":
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self.ms = (time.perf_counter() - self.began) * 1000


class Session:
    """A session of the Code Interpreter, as AWS's own examples use it."""

    def __init__(self, aws, name: str):
        self.aws = aws
        started = aws.start_code_interpreter_session(
            codeInterpreterIdentifier=INTERPRETER, name=name, sessionTimeoutSeconds=600
        )
        self.where = {"codeInterpreterIdentifier": INTERPRETER, "sessionId": started["sessionId"]}

    def call(self, tool: str, **arguments) -> dict:
        answer = self.aws.invoke_code_interpreter(**self.where, name=tool, arguments=arguments)
        [result] = [event["result"] for event in answer["stream"] if "result" in event]
        return result

    def run(self, code: str) -> dict:
        return self.call("executeCode", code=code, language="python")

    def stop(self) -> None:
        self.aws.stop_code_interpreter_session(**self.where)


def text(result: dict) -> str:
    return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")


def main(output: pathlib.Path) -> None:
    aws = boto3.client("bedrock-agentcore")
    version = boto3.__version__
    print(f"boto3 {version}, unmodified, talks to {os.environ['AWS_ENDPOINT_URL_BEDROCK_AGENTCORE']} instead of AWS.")

    with Timed() as first_start:
        session = Session(aws, "demo")
    try:
        analyse(session)
        files = fetch(session, output)
        refuse(session)
        interrupt(session)
    finally:
        session.stop()
    measure(aws, first_start.ms)
    section("Done")
    print(f"   {files} files lie in {output.resolve()}; start with revenue.png, regions.png and demand.png.\n")


def analyse(session: Session) -> None:
    data = orders.csv_text()
    section("An analysis, one call after the other in one session")
    with Timed() as took:
        session.call("writeFiles", content=[{"path": "orders.csv", "text": data}])
    print(f"   orders.csv ({size(len(data.encode()))}) went up in {took.ms:.0f} ms.")
    for cell in CELLS:
        with Timed() as took:
            result = session.run(cell.read_text())
        if result["isError"]:
            sys.exit(f"{cell.name} failed:\n{text(result)}")
        print(f"\n   [{cell.name}, {took.ms:.0f} ms]\n\n{indented(result['structuredContent']['stdout'])}")


def fetch(session: Session, output: pathlib.Path) -> int:
    """Downloads what the session has made. How many files."""
    section("The files that the session has made")
    links = [block for block in session.call("listFiles", path="")["content"] if block["type"] == "resource_link"]
    names = [link["name"] for link in links if link["description"] == "File"]
    output.mkdir(exist_ok=True)
    for block in session.call("readFiles", paths=names)["content"]:
        resource = block["resource"]
        name = resource["uri"].removeprefix("file:///")
        content = resource["blob"] if "blob" in resource else resource["text"].encode()
        # A session is free to name its files; this folder is ours.
        (output / pathlib.PurePosixPath(name).name).write_bytes(content)
        print(f"   {name:<16}{size(len(content)):>12}   {resource['mimeType']}")
    return len(names)


def refuse(session: Session) -> None:
    section("What the policy does not allow")
    for command in ("pip install a-package", "curl -sS https://example.com"):
        print(f"   $ {command}\n{indented(text(session.call('executeCommand', command=command)))}\n")
    result = session.run("import socket\nsocket.create_connection(('192.0.2.1', 443), timeout=5)")
    print(f"   >>> socket.create_connection(('192.0.2.1', 443))\n{indented(text(result).splitlines()[-1])}")


def interrupt(session: Session) -> None:
    section("A loop that never ends")
    notes = with_deadline(session, "turns = 0\nwhile True: turns += 1", seconds=1)["notes"]
    print("   >>> while True: turns += 1          (this call may take one second)")
    print(indented("\n".join(notes)))
    kept = session.run("print(f'turns = {turns:,}, and the {len(orders):,} orders are still loaded')")
    print(f"\n   >>> the next call in the same session\n{indented(text(kept))}")


def with_deadline(session: Session, code: str, seconds: float) -> dict:
    """The same session through the native door, whose calls may have a deadline of their own."""
    request = urllib.request.Request(
        f"{os.environ['CLOISTER_ENDPOINT']}/v1/sessions/{session.where['sessionId']}/invoke",
        json.dumps({"code": code, "language": "python", "timeout": seconds}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['CLOISTER_TOKEN']}"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def measure(aws, first_start: float) -> None:
    """Facts of this run, on this machine, with whatever else it is doing."""
    starts, firsts, warms = [], [], []
    for _ in range(10):
        with Timed() as start:
            session = Session(aws, "demo-timing")
        with Timed() as first:
            session.run("import pandas as pd; print(pd.DataFrame({'x': [1, 2, 3]}).describe())")
        with Timed() as warm:
            session.run("1 + 1")
        session.stop()
        starts.append(start.ms)
        firsts.append(first.ms)
        warms.append(warm.ms)
    section("Timings of this run, as boto3 saw them")
    print(
        f"   the very first session              {first_start:8.1f} ms   right after the server's start; the others come from its pool"
    )
    for name, values in (
        ("a new session", starts),
        ("its first call, a pandas describe()", firsts),
        ("a later call", warms),
    ):
        print(
            f"   {name:<36}{statistics.median(values):8.1f} ms   median of {len(values)}; the slowest {max(values):.1f} ms"
        )


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
