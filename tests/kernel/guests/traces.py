# leave() puts MARK everywhere where something can be kept; find() looks for it, in another session or after a stop.
import builtins, fcntl, glob, pathlib, signal, socket, threading, time

PLACES = ["/workspace", "/home/agent", "/tmp", "/dev/shm", "/home/agent/.cache/pip", "/home/agent/.cache/fontconfig", "/home/agent/.cache/matplotlib",
          "/home/agent/.config/matplotlib", "/workspace/__pycache__", "/home/agent/.local/lib/python3.11/site-packages", "/home/agent/.cache/deno"]


def leave():
    for place in PLACES:
        pathlib.Path(place).mkdir(parents=True, exist_ok=True)
        pathlib.Path(place, "left").write_text(MARK)
    # System V: a segment, a semaphore and a queue under well-known keys.
    _libc.shmat.restype = ctypes.c_void_p
    segment = raw(29, 0x5EED, 4096, 0o1666)
    ctypes.memmove(_libc.shmat(segment, None, 0), MARK.encode(), len(MARK))
    raw(64, 0x5EED, 1, 0o1666)
    queue = raw(68, 0x5EED, 0o1666)
    raw(69, queue, struct.pack("q", 1) + MARK.encode(), len(MARK), 0)
    # Sockets: abstract, by path, TCP and UDP on every address.
    builtins.kept = []
    for address in ("\0left", "/tmp/left.sock", "/dev/shm/left.sock"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
        sock.listen()
        builtins.kept.append(sock)
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = socket.socket(family, kind)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((address, 47123))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            builtins.kept.append(sock)
    # State of the interpreter and of the process.
    builtins.left = sys.left = os.environ["LEFT"] = MARK
    sys.modules["left_module"] = sys
    os.chdir("/tmp")
    os.umask(0)
    import atexit, resource
    atexit.register(lambda: open("/tmp/atexit", "w").write(MARK))
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    # Memory: a few megabytes of the mark, in heap, stack of a thread, and files.
    builtins.pattern = [MARK * 1000 for _ in range(2000)]
    with open("/dev/shm/pattern", "w") as file:
        file.write(MARK * 100_000)


def find():
    found = []
    for place in ["/workspace", "/home/agent", "/tmp", "/dev/shm", "/run", "/var"]:
        found += [str(path) for path in pathlib.Path(place).rglob("*left*")]
    attempt("segment", lambda: raw(29, 0x5EED, 0, 0))
    attempt("semaphore", lambda: raw(64, 0x5EED, 0, 0))
    attempt("queue", lambda: raw(68, 0x5EED, 0))
    for name, address in {"abstract": "\0left", "path": "/tmp/left.sock", "shm": "/dev/shm/left.sock"}.items():
        attempt(f"socket {name}", lambda: socket.socket(socket.AF_UNIX).connect(address))
    for address in ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "169.254.1.1", "224.0.0.1", "255.255.255.255", "ff02::1%lo", "localhost", *HOST]:
        def connect(kind=socket.SOCK_STREAM):
            info = socket.getaddrinfo(address, 47123, type=kind)[0]
            with socket.socket(info[0], kind) as sock:
                sock.settimeout(3)
                sock.connect(info[4])

        attempt(f"port {address}", connect)

        def datagram():
            info = socket.getaddrinfo(address, 47123, type=socket.SOCK_DGRAM)[0]
            with socket.socket(info[0], socket.SOCK_DGRAM) as sock:
                sock.settimeout(1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                sock.connect(info[4])
                sock.send(b"x")
                sock.recv(1)

        attempt(f"datagram {address}", datagram)
    VERDICTS["files"] = json.dumps(found)
    VERDICTS["builtins"] = str(hasattr(builtins, "left") or hasattr(sys, "left") or "left_module" in sys.modules)
    VERDICTS["environment"] = str("LEFT" in os.environ)
    VERDICTS["cwd"] = os.getcwd()
    umask = os.umask(0o077)
    os.umask(umask)
    VERDICTS["umask"] = oct(umask)
    import resource
    VERDICTS["files limit"] = str(resource.getrlimit(resource.RLIMIT_NOFILE))
    VERDICTS["mask"] = str(signal.pthread_sigmask(signal.SIG_BLOCK, []))
    VERDICTS["ignored"] = str(signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN)
    VERDICTS["timer"] = str(signal.getitimer(signal.ITIMER_REAL))
    VERDICTS["threads"] = str(threading.active_count())


def find_in_memory():
    """Fresh memory of every kind, without writing to it first: what its last owner left would be in it."""
    hits = 0
    mark = MARK.encode()
    for _ in range(8):
        area = raw(9, 0, 32 << 20, 3, 0x22, -1, 0)
        hits += ctypes.string_at(area, 32 << 20).count(mark[:-1])
        raw(11, area, 32 << 20)
    _libc.malloc.restype = ctypes.c_void_p
    for size in (64, 1024, 65536, 1 << 20):
        for _ in range(200):
            hits += ctypes.string_at(ctypes.c_void_p(_libc.malloc(size)), size).count(mark[:-1])
    fd = raw(319, b"x", 0)
    os.ftruncate(fd, 8 << 20)
    hits += os.pread(fd, 8 << 20, 0).count(mark[:-1])
    with open("/workspace/hole", "wb+", buffering=0) as file:
        file.truncate(8 << 20)
        hits += file.read().count(mark[:-1])
    print(hits)
