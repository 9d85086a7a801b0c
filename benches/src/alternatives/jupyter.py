"""Drives ipykernels through jupyter_client, one request per line of standard input, one answer per line of output."""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from jupyter_client.manager import KernelManager

PATIENCE = 300
# Each kernel warns about its own transport; in the folder of the run, which goes away with it.
LOG = open("kernels.log", "ab")


def start(**how):
    manager = KernelManager(kernel_name="python3", **how)
    manager.start_kernel(stderr=LOG)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    return manager, client


def cell(client, code, expected):
    """Runs a cell and waits for all of its output, as a notebook does: until the kernel says that it is idle."""
    said = []
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            said.append(content["text"])
        elif kind == "execute_result":
            said.append(content["data"]["text/plain"])
        elif kind == "error":
            said.append("\n".join(content["traceback"]))
        elif kind == "status" and content["execution_state"] == "idle":
            break
    text = "".join(said)
    if expected not in text:
        raise RuntimeError(f"no {expected!r} in {text[:400]!r}")


def first(question):
    """Starts `count` kernels at once, and waits for a result of each. Shut down outside the clock."""
    kernels = []

    def one(number):
        # Ports are chosen before they are bound, so in a crowd two kernels choose the same one and die. A crowd gets sockets
        # in the file system, each kernel under a name of its own.
        how = {"transport": "ipc", "ip": os.path.abspath(f"kernel-{number}")} if question["count"] > 1 else {}
        manager, client = start(**how)
        kernels.append((manager, client))
        cell(client, question["code"], question["expected"])

    begun = time.perf_counter_ns()
    with ThreadPoolExecutor(question["count"]) as pool:
        for done in [pool.submit(one, number) for number in range(question["count"])]:
            done.result()
    took = time.perf_counter_ns() - begun
    for manager, client in kernels:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return {"ns": took}


def main():
    kept = []
    for line in sys.stdin:
        question = json.loads(line)
        try:
            match question["op"]:
                case "first":
                    answer = first(question)
                case "open":
                    kept.append(start())
                    answer = {"kernel": len(kept) - 1, "pid": kept[-1][0].provisioner.pid}
                case "cell":
                    client = kept[question["kernel"]][1]
                    begun = time.perf_counter_ns()
                    cell(client, question["code"], question["expected"])
                    answer = {"ns": time.perf_counter_ns() - begun}
                case _:
                    break
        except Exception as error:  # the bench shows it as the reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for manager, client in kept:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


main()
