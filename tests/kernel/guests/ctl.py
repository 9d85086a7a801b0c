# Lies told to init: on the cell channel, which a driver shares with its guest, and around it.
import signal, socket, stat, threading, time


def channel():
    """The descriptor of the cell channel: the only socket that was there before."""
    for fd in sorted((int(n) for n in os.listdir("/proc/self/fd")), reverse=True):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:
            pass


def call_id(frame=None):
    """The id of the running call, from the driver's own variables."""
    frame = frame or sys._getframe()
    while frame:
        request = frame.f_locals.get("request")
        if isinstance(request, dict) and "id" in request:
            return request["id"]
        frame = frame.f_back


def frame(message, blob=b"", length=None):
    text = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack(">II", len(text) if length is None else length, len(blob)) + text + blob


def say(data):
    fd = channel()
    while data:
        data = data[os.write(fd, data):]


def display(call, text=b"forged"):
    return frame({"ev": "display", "id": call, "forms": [{"mime": "text/plain", "len": len(text)}]}, text)


def done(call, status="ok", code=0):
    return frame({"ev": "done", "id": call, "status": status, "exit_code": code})


def watch_and_forge():
    """A thread that ends the next call as soon as it begins, with a result of its own."""
    mine, fd, main = call_id(), channel(), threading.main_thread().ident

    def run():
        while True:
            now = call_id(sys._current_frames()[main])
            if now and now != mine:
                os.write(fd, display(now) + done(now, "ok", 77))
                return
            time.sleep(0.001)

    threading.Thread(target=run, daemon=True).start()


def rebind_everything():
    import atexit, builtins, gc, io

    def bad(*args, **kwargs):
        raise SystemExit(99)

    atexit.register(bad)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = io.StringIO()
    sys.excepthook = sys.displayhook = sys.unraisablehook = threading.excepthook = bad
    for module, names in {os: ["write", "read", "dup2", "fork", "kill", "getpid"], json: ["dumps", "loads"], gc: ["collect"],
                          signal: ["signal", "getsignal", "pthread_sigmask"], time: ["sleep", "time", "monotonic"],
                          threading: ["Thread", "Lock", "RLock"], builtins: ["print", "open", "compile", "exec", "repr", "len", "isinstance"]}.items():
        for name in names:
            setattr(module, name, bad)


BROKEN = {
    "length of 4 GiB": struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
    "json over the cap": struct.pack(">II", (1 << 20) + 1, 0),
    "blob over the cap": frame({"ev": "ready"})[:4] + struct.pack(">I", (8 << 20) + 1) + b"{}",
    "no json": frame(b"\xff\xfe{{{"),
    "nothing": frame(b""),
    "an array": frame(b"[]"),
    "a number": frame(b"1e999"),
    "recursion": frame(b"[" * 500_000),
    "deep object": frame(b'{"ev":' * 100_000 + b"1" + b"}" * 100_000),
    "unknown event": frame({"ev": "escape", "id": "x"}),
    "no event": frame({"id": "x"}),
    "wrong types": frame({"ev": "done", "id": 5, "status": [], "exit_code": "x"}),
    "exit code over the range": frame({"ev": "done", "id": "x", "status": "ok", "exit_code": 2**40}),
    "negative length": frame({"ev": "display", "id": "x", "forms": [{"mime": "a", "len": -1}]}),
    "surrogates": frame(b'{"ev":"error","id":"x","name":"\\ud800","message":"m"}'),
    "nul bytes": b"\0" * 100_003,
    "cut off": frame({"ev": "done", "id": "x", "status": "ok"})[:-3],
}
