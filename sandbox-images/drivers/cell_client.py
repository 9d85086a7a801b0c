"""A small client of the cell channel: starts a driver as init would, sends requests, gathers the answers.

Used by the driver tests and by run_transcripts.py. Needs nothing but Python's standard library.
"""

import json
import os
import select
import signal
import socket
import subprocess
import time

MAX_JSON, MAX_BLOB = 1 << 20, 8 << 20


class DriverGone(Exception):
    """The driver closed the channel; `status` is its exit status as subprocess reports it."""

    def __init__(self, status, stderr=b""):
        super().__init__(f"the driver ended with status {status}: {stderr.decode(errors='replace')}")
        self.status = status
        self.stderr = stderr


class Reply:
    """The answer to one request: `frames` in order (each a dict with `blob`), and the two streams as bytes."""

    def __init__(self):
        self.frames, self.stdout, self.stderr = [], b"", b""

    def of(self, event):
        return [frame for frame in self.frames if frame["ev"] == event]

    @property
    def done(self):
        return self.frames[-1]

    @property
    def status(self):
        return self.done["status"]

    @property
    def error(self):
        """The error frame, or None; its blob as `traceback`."""
        errors = self.of("error")
        return {**errors[0], "traceback": errors[0]["blob"].decode()} if errors else None

    @property
    def out(self):
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def err(self):
        return self.stderr.decode("utf-8", "surrogateescape")

    @property
    def value(self):
        """The text of the value, or None."""
        values = self.of("value")
        return forms(values[0])["text/plain"].decode() if values else None

    @property
    def value_forms(self):
        return forms(self.of("value")[0])

    @property
    def displays(self):
        """One dict of MIME type to bytes for each display."""
        return [forms(frame) for frame in self.of("display")]


def forms(frame):
    """The forms of a display or value frame: MIME type → bytes. Fails if the lengths do not add up to the blob."""
    found, position = {}, 0
    for form in frame["forms"]:
        found[form["mime"]] = frame["blob"][position:position + form["len"]]
        position += form["len"]
    assert position == len(frame["blob"]), f"forms of {position} bytes in a blob of {len(frame['blob'])}"
    return found


class Driver:
    """A running driver. `interrupt` is "signal" or "pipe", as image.toml says."""

    def __init__(self, argv, *, interrupt="signal", env=None, cwd=None, start=None):
        ours, theirs = socket.socketpair()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        environment = dict(os.environ if env is None else env)
        environment["CLOISTER_CELL_FD"] = str(theirs.fileno())
        passed = [theirs.fileno()]
        self._interrupt_fd = None
        if interrupt == "pipe":
            read, self._interrupt_fd = os.pipe()
            environment["CLOISTER_INTERRUPT_FD"] = str(read)
            passed.append(read)
        self._socket, self._out, self._err = ours, out_read, err_read
        for fd in (out_read, err_read):
            os.set_blocking(fd, False)
        began = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out_write, stderr=err_write,
                                        pass_fds=passed, env=environment, cwd=cwd, start_new_session=True)
        for fd in (theirs.detach(), out_write, err_write, *passed[1:]):
            os.close(fd)
        self.ready = self._wait(Reply(), lambda frame: frame["ev"] == "ready", 30).frames[-1]
        self.start_seconds = time.monotonic() - began
        self._count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the channel, as init does at the end; kill the driver if that does not end it. Returns its status."""
        self._socket.close()
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        for fd in (self._out, self._err, self._interrupt_fd):
            if fd is not None:
                os.close(fd)
        self._out = self._err = self._interrupt_fd = None
        return status

    def interrupt(self):
        if self._interrupt_fd is not None:
            os.write(self._interrupt_fd, b"i")
        else:
            self.process.send_signal(signal.SIGINT)

    def send(self, message, blob=b""):
        head = json.dumps(message).encode()
        self._socket.sendall(len(head).to_bytes(4, "big") + len(blob).to_bytes(4, "big") + head + blob)

    def send_bytes(self, data):
        self._socket.sendall(data)

    def run(self, code, *, language="python", clear=False, memory=0, display=5 << 20, displays=64,
            timeout=120, interrupt_after=None):
        """Run a cell and wait for `done`, longer than any takes on a machine that is slow to give memory.

        With `interrupt_after` (seconds) one interrupt is sent meanwhile.
        """
        self._count += 1
        call = f"{self._count:032x}"
        self.send({"op": "run", "id": call, "language": language, "clear": clear, "memory": memory,
                   "display": display, "displays": displays}, code if isinstance(code, bytes) else code.encode())
        return self._wait(Reply(), lambda frame: frame["ev"] == "done", timeout, call, interrupt_after)

    def warm(self):
        self.send({"op": "warm"})
        return self._wait(Reply(), lambda frame: frame["ev"] == "warmed", 30)

    def wait_gone(self, timeout=10):
        """Wait until the driver closes the channel; returns DriverGone."""
        try:
            self._wait(Reply(), lambda frame: False, timeout)
        except DriverGone as gone:
            return gone

    def read_late(self, seconds=0.3):
        """What the two pipes bring while no call runs."""
        reply, end = Reply(), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            select.select([self._out, self._err], [], [], left)
            self._drain(reply)
        return reply

    def _wait(self, reply, is_last, timeout, call=None, interrupt_after=None):
        end = time.monotonic() + timeout
        interrupt_at = None if interrupt_after is None else time.monotonic() + interrupt_after
        while True:
            now = time.monotonic()
            if interrupt_at is not None and now >= interrupt_at:
                self.interrupt()
                interrupt_at = None
            if now >= end:
                raise TimeoutError(f"no answer within {timeout} s; stdout {reply.stdout[-500:]!r}, "
                                   f"stderr {reply.stderr[-2000:]!r}")
            until = end if interrupt_at is None else min(end, interrupt_at)
            ready, _, _ = select.select([self._socket, self._out, self._err], [], [], until - now)
            self._drain(reply)
            if self._socket in ready:
                frame = self._receive(reply)
                assert call is None or frame.get("id") == call, f"a frame of another call: {frame}"
                reply.frames.append(frame)
                if is_last(frame):
                    self._drain(reply)
                    return reply

    def _receive(self, reply):
        header = self._read(8, reply)
        json_length, blob_length = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
        assert json_length <= MAX_JSON and blob_length <= MAX_BLOB, f"a frame of {json_length} + {blob_length} bytes"
        frame = json.loads(self._read(json_length, reply))
        frame["blob"] = self._read(blob_length, reply)
        return frame

    def _read(self, size, reply):
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except ConnectionError:
                part = b""
            if not part:
                status = self.process.wait(10)
                self._drain(reply)
                raise DriverGone(status, reply.stderr)
            data += part
        return data

    def _drain(self, reply):
        for fd, name in ((self._out, "stdout"), (self._err, "stderr")):
            while True:
                try:
                    data = os.read(fd, 1 << 16)
                except BlockingIOError:
                    break
                if not data:
                    break
                setattr(reply, name, getattr(reply, name) + data)
