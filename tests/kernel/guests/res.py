# Ways to use more than one's share.
import ctypes, fcntl, mmap, select, signal, socket, subprocess, threading, time


def in_child(work):
    """Runs `work` in a forked child and says how it ended, so that the killer takes the child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except MemoryError:
            code = 12
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


REFUSED = [0]


def full():
    """The limit has been met, and not just once: tell the test, which cannot know how long this machine takes."""
    REFUSED[0] += 1
    if REFUSED[0] >= 3:
        os.close(os.open("/tmp/full", os.O_CREAT))


def fork_bomb():
    while True:
        try:
            os.fork()
        except OSError:
            full()


def daemon_bomb():
    """Every process leaves its session and its parent, and ignores what can be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
        except OSError:
            full()


def thread_bomb():
    stop = threading.Event()
    threads, refused = [], False
    try:
        while len(threads) < 5000:
            thread = threading.Thread(target=stop.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        refused = True
    stop.set()
    print(len(threads), refused)


def hold_processes():
    """As many sleepers as there may be, for init to have no process left."""
    held = 0
    for _ in range(1000):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        held += 1
    print(held)


def spawn_storm():
    end = time.time() + 1
    while time.time() < end:
        try:
            os.posix_spawn("/bin/true", ["true"], {})
        except OSError:
            pass


def fill(file, size):
    for _ in range(size >> 20):
        file.write(os.urandom(1 << 20))


def memory(limit, kind):
    """Takes twice the limit, in a child; the killer may prefer the parent where the pages belong to no process."""
    over = limit * 2

    def anonymous():
        area = mmap.mmap(-1, over)
        for at in range(0, over, 4096):
            area[at] = 1

    def pages_of(fd):
        for at in range(0, over, 1 << 20):
            os.pwrite(fd, bytes(1 << 20), at)

    def memfd():
        pages_of(raw(319, b"x", 0))

    def shared_segment():
        _libc.shmat.restype = ctypes.c_void_p
        segment = raw(29, 0, over, 0o1600)
        address = _libc.shmat(segment, None, 0)
        ctypes.memset(address, 1, over)

    def pipes():
        held = []
        while True:
            ends = os.pipe()
            held.append(ends)
            os.set_blocking(ends[1], False)
            try:
                fcntl.fcntl(ends[1], 1031, 1 << 20)
            except OSError:
                pass
            while True:
                try:
                    os.write(ends[1], bytes(65536))
                except BlockingIOError:
                    break

    def sockets():
        held = []
        while True:
            one, other = socket.socketpair()
            held.append((one, other))
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
            while True:
                try:
                    one.send(bytes(65536))
                except BlockingIOError:
                    break

    def reservation():
        held = []
        for _ in range(200):
            address = raw(9, 0, 1 << 39, 0, 0x4022, -1, 0)  # PROT_NONE, private, anonymous, no reserve
            held.append(address)

    def page_tables():
        size = 1 << 42
        area = raw(9, 0, size, 3, 0x4022, -1, 0)
        for at in range(0, size, 1 << 21):
            ctypes.memset(area + at, 1, 1)

    def locked():
        area = mmap.mmap(-1, over)
        raw(149, ctypes.addressof(ctypes.c_char.from_buffer(area)), over)

    def inodes():
        for n in range(10**7):
            os.close(os.open(f"/workspace/i{n}", os.O_CREAT))

    def negative_names():
        for n in range(300_000):
            try:
                os.stat(f"/workspace/{n:0200}")
            except OSError:
                pass

    print("ended", in_child(locals()[kind]))


def drop_segments():
    for segment in open("/proc/sysvipc/shm").read().splitlines()[1:]:
        raw(31, int(segment.split()[1]), 0, 0)


def ownerless():
    """Files and System V objects, until there is no more of them."""
    attempt("disk", lambda: [fill(open(f"/workspace/d{n}", "wb", buffering=0), 256 << 20) for n in range(100)])
    attempt("large segment", lambda: raw(29, 0, 8192, 0o1600))
    attempt("large set", lambda: raw(64, 0, 65, 0o1600))

    def pages():
        _libc.shmat.restype = ctypes.c_void_p
        while True:
            address = _libc.shmat(raw(29, 0, 4096, 0o1600), None, 0)
            ctypes.memset(address, 1, 4096)
            _libc.shmdt(ctypes.c_void_p(address))

    def sets():
        while True:
            raw(64, 0, 64, 0o1600)

    def queues():
        message = struct.pack("q", 1) + bytes(8192)
        while True:
            queue = raw(68, 0, 0o1600)
            try:
                while True:
                    raw(69, queue, message, 8192, 0o4000)
            except BlockingIOError:
                pass

    for name, work in {"pages": pages, "sets": sets, "queues": queues}.items():
        attempt(f"many {name}", work)


def drop_ownerless():
    for kind, number in (("shm", 31), ("msg", 71)):
        for line in open(f"/proc/sysvipc/{kind}").read().splitlines()[1:]:
            raw(number, int(line.split()[1]), 0, 0)
    for line in open("/proc/sysvipc/sem").read().splitlines()[1:]:
        raw(66, int(line.split()[1]), 0, 0)


def storage():
    attempt("disk", lambda: [fill(open(f"/workspace/d{n}", "wb", buffering=0), 16 << 20) for n in range(100)])
    VERDICTS["free"] = str(os.statvfs("/workspace").f_bavail)
    attempt("elsewhere", lambda: fill(open("/dev/shm/x", "wb", buffering=0), 1 << 20))
    for name in os.listdir("/workspace"):
        os.unlink(f"/workspace/{name}")
    attempt("names", lambda: [os.close(os.open(f"/tmp/n{n}", os.O_CREAT)) for n in range(10**6)])
    for name in os.listdir("/tmp"):
        os.unlink(f"/tmp/{name}")
    attempt("links", lambda: [os.symlink("x" * 4000, f"/home/agent/s{n}") for n in range(10**6)])
    for name in os.listdir("/home/agent"):
        os.unlink(f"/home/agent/{name}")
    fd = os.open("/workspace/sparse", os.O_CREAT | os.O_RDWR)
    attempt("large", lambda: [os.pwrite(fd, b"x", n << 30) for n in range(10)])
    attempt("allocate", lambda: os.posix_fallocate(fd, 0, 400 << 20))
    os.unlink("/workspace/sparse")
    with open("/workspace/after", "w") as file:
        file.write("works")


def tables():
    import resource

    def exhaust(make):
        held = []
        try:
            while len(held) < 100_000:
                held.append(make())
        finally:
            VERDICTS["last count"] = str(len(held))
            for item in held:
                if isinstance(item, int):
                    os.close(item)

    attempt("files", lambda: exhaust(lambda: os.open("/dev/null", os.O_RDONLY)))
    attempt("events", lambda: exhaust(lambda: raw(290, 0, 0)))
    attempt("timers", lambda: exhaust(lambda: raw(283, 1, 0)))
    attempt("epolls", lambda: exhaust(lambda: raw(291, 0)))
    attempt("raise files", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))
    attempt("raise processes", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1 << 20, 1 << 20)))
    attempt("raise size", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1)))

    def nest():
        held = [select.epoll() for _ in range(12)]
        for outer, inner in zip(held, held[1:]):
            outer.register(inner.fileno())

    attempt("nested epoll", nest)

    def alarms():
        identifier = ctypes.c_int()
        for _ in range(100_000):
            raw(222, 1, 0, ctypes.addressof(identifier))

    attempt("alarms", alarms)
    attempt("queues", lambda: raw(240, b"q", 0x42, 0o600, 0))

    def signals():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
        for _ in range(10_000):
            raw(129, os.getpid(), signal.SIGRTMIN, struct.pack("iiiiii", signal.SIGRTMIN, 0, -1, 0, os.getpid(), 65532) + bytes(104))

    VERDICTS["signals"] = str(in_child(signals))

    def lock_storm():
        fd = os.open("/workspace/locks", os.O_CREAT | os.O_RDWR)
        for n in range(5_000):
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, n * 2)

    VERDICTS["locks"] = str(in_child(lock_storm))


def litter():
    """Zombies, daemons and stubborn processes, for the end of the session to clear away."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(60):
        if os.fork() == 0:
            if number % 3 == 0:
                os._exit(0)  # a zombie: nobody waits for it
            os.setsid()
            for ignored in range(1, 65):
                try:
                    signal.signal(ignored, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            raw(157, 1, 0, 0, 0, 0)  # no parent death signal
            if number % 3 == 1 and os.fork():
                os._exit(0)
            if number % 5 == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                time.sleep(60)
    time.sleep(0.3)
