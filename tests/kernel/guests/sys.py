# Parts of the kernel that a guest must not reach, call by call.
import fcntl, signal, socket, subprocess, threading

CLONE_NEW = {"time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000,
             "net": 0x40000000}


def namespaces():
    for name, flag in CLONE_NEW.items():
        attempt(f"unshare {name}", lambda: raw(272, flag))
        if name != "time":  # of clone, the low byte is the signal
            attempt(f"clone {name}", lambda: raw(56, flag | signal.SIGCHLD, 0, 0, 0, 0))
        attempt(f"clone3 {name}", lambda: raw(435, struct.pack("11Q", flag, *[0] * 10), 88))
    attempt("clone3 plain", lambda: raw(435, struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, *[0] * 6), 88))
    for kind in os.listdir("/proc/self/ns"):
        attempt(f"setns {kind}", lambda: raw(308, os.open(f"/proc/self/ns/{kind}", os.O_RDONLY), 0))
    attempt("setns pidfd", lambda: raw(308, os.pidfd_open(os.getpid()), 0x10000000))
    # Ordinary threads and processes work: fork, vfork (by posix_spawn), clone.
    results = []
    thread = threading.Thread(target=lambda: results.append(1))
    thread.start()
    thread.join()
    VERDICTS["threads"] = str(results)
    VERDICTS["subprocess"] = subprocess.run(["echo", "works"], capture_output=True, text=True, close_fds=False).stdout
    VERDICTS["spawn"] = str(os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1])


def io_uring():
    attempt("setup", lambda: raw(425, 8, bytes(120)))
    attempt("enter", lambda: raw(426, 0, 0, 0, 0, 0, 0))
    attempt("register", lambda: raw(427, 0, 0, 0, 0))
    for number, name in [(206, "io_setup"), (209, "io_submit"), (333, "io_pgetevents")]:
        attempt(f"aio {name}", lambda: raw(number, 1, bytes(8), 0))


def sockets():
    ok = {(1, 1, 0), (1, 2, 0), (2, 1, 0), (2, 1, 6), (2, 2, 0), (2, 2, 17), (10, 1, 0), (10, 1, 6), (10, 2, 0), (10, 2, 17)}
    opened, refused = [], 0
    for family in range(0, 46):
        for kind in range(0, 11):
            for protocol in [0, 1, 2, 6, 17, 33, 58, 132, 136, 262, 255, 768]:
                try:
                    os.close(raw(41, family, kind, protocol))
                    opened.append((family, kind, protocol))
                except OSError as e:
                    refused += e.errno == errno.EPERM
                    if e.errno != errno.EPERM:
                        opened.append((family, kind, protocol, errno.errorcode[e.errno]))
    VERDICTS["extra"] = json.dumps(sorted(set(map(tuple, opened)) - ok))
    VERDICTS["missing"] = json.dumps(sorted(ok - set(opened)))
    VERDICTS["refused"] = str(refused)
    for name, args in {"alg": (38, 5, 0), "vsock": (40, 1, 0), "packet": (17, 3, 768), "xdp": (44, 3, 0), "netlink": (16, 3, 0), "xfrm": (16, 3, 6),
                       "nfnetlink": (16, 3, 12), "uevent": (16, 2, 15), "raw4": (2, 3, 1), "raw6": (10, 3, 58), "ping": (2, 2, 1), "sctp": (2, 1, 132),
                       "mptcp": (2, 1, 262), "udplite": (2, 2, 136), "tipc": (30, 1, 0), "smc": (43, 1, 0), "bluetooth": (31, 3, 0), "key": (15, 3, 2),
                       "high bits": (38 | (1 << 32), 5, 0)}.items():
        attempt(f"family {name}", lambda: raw(41, *args))
        attempt(f"pair {name}", lambda: raw(53, *args, bytes(8)))


def options():
    tcp, udp, unix = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
    value = ctypes.create_string_buffer(b"espintcp\0" + bytes(64))
    for name, (sock, level, option) in {
            "ulp": (tcp, 6, 31), "md5": (tcp, 6, 14), "repair": (tcp, 6, 19), "encap": (udp, 17, 100), "ipsec": (udp, 0, 16), "xfrm": (udp, 0, 17),
            "ipt replace": (tcp, 0, 64), "arpt": (tcp, 0, 96), "ip6t": (tcp, 41, 64), "filter": (tcp, 1, 26), "bpf": (tcp, 1, 50), "reuse bpf": (tcp, 1, 52),
            "lock": (tcp, 1, 44), "alg": (tcp, 279, 1), "zerocopy": (tcp, 1, 60), "txtime": (tcp, 1, 61), "netlink": (tcp, 270, 1), "vsock": (tcp, 40, 1),
            "high bits": (tcp, 6, 31 | (1 << 32))}.items():
        attempt(f"option {name}", lambda: raw(54, sock.fileno(), level, option, value, 16))
    attempt("read zerocopy", lambda: raw(55, tcp.fileno(), 6, 35, ctypes.create_string_buffer(64), ctypes.create_string_buffer(struct.pack("i", 64))))
    one, other = socket.socketpair()
    attempt("oob send", lambda: one.send(b"x", socket.MSG_OOB))
    attempt("oob receive", lambda: other.recv(1, socket.MSG_OOB))
    attempt("oob sendmsg", lambda: one.sendmsg([b"x"], [], socket.MSG_OOB))
    attempt("splice", lambda: raw(275, one.fileno(), 0, other.fileno(), 0, 4096, 0))
    attempt("tee", lambda: raw(276, 0, 1, 4096, 0))
    attempt("vmsplice", lambda: raw(278, 1, bytes(16), 1, 0))


def spying():
    child = os.fork()
    if child == 0:
        signal.pause()
    for request, name in [(0, "traceme"), (16, "attach"), (0x4206, "seize")]:
        for who, pid in [("child", child), ("init", 1), ("self", os.getpid())]:
            attempt(f"ptrace {name} {who}", lambda: raw(101, request, pid, 0, 0))
    for who, pid in [("child", child), ("init", 1)]:
        vector = struct.pack("QQ", 0, 8)
        attempt(f"vm read {who}", lambda: raw(310, pid, vector, 1, vector, 1, 0))
        attempt(f"vm write {who}", lambda: raw(311, pid, vector, 1, vector, 1, 0))
        attempt(f"kcmp {who}", lambda: raw(312, os.getpid(), pid, 0, 0, 0))
        attempt(f"pidfd_getfd {who}", lambda: raw(438, os.pidfd_open(pid), 0, 0))
        attempt(f"madvise {who}", lambda: raw(440, os.pidfd_open(pid), vector, 1, 20, 0))
        attempt(f"move_pages {who}", lambda: raw(279, pid, 0, 0, 0, 0, 0))
        attempt(f"robust {who}", lambda: raw(274, pid, bytes(8), bytes(8)))
    attempt("init mem", lambda: os.open("/proc/1/mem", os.O_RDWR))
    os.kill(child, 9)
    os.waitpid(child, 0)


def keys():
    for name, args in {"join": (250, 1, 0), "get session": (250, 0, -3, 1), "get user": (250, 0, -4, 1), "read": (250, 11, -3, 0, 0), "persistent": (250, 22, -1, -3),
                       "search": (250, 10, -3, b"user", b"x", 0), "add": (248, b"user", b"x", b"y", 1, -3), "request": (249, b"user", b"x", 0, 0)}.items():
        attempt(name, lambda: raw(*args))


def powers():
    attempt("bpf", lambda: raw(321, 0, bytes(72), 72))
    attempt("bpf load", lambda: raw(321, 5, bytes(120), 120))
    attempt("perf", lambda: raw(298, bytes(128), 0, -1, -1, 0))
    attempt("userfaultfd", lambda: raw(323, 1))
    attempt("userfaultfd file", lambda: os.open("/dev/userfaultfd", os.O_RDWR))
    attempt("module", lambda: raw(175, b"", 0, b""))
    attempt("finit_module", lambda: raw(313, 0, b"", 0))
    attempt("kexec", lambda: raw(246, 0, 0, 0, 0))
    attempt("reboot", lambda: raw(169, 0xFEE1DEAD, 672274793, 0x1234567, 0))
    attempt("syslog", lambda: raw(103, 3, bytes(64), 64))
    attempt("iopl", lambda: raw(172, 3))
    attempt("ioperm", lambda: raw(173, 0x70, 2, 1))
    attempt("modify_ldt", lambda: raw(154, 1, bytes(16), 16))
    attempt("settimeofday", lambda: raw(164, bytes(16), 0))
    attempt("clock_settime", lambda: raw(227, 0, bytes(16)))
    attempt("adjtimex", lambda: raw(159, ctypes.create_string_buffer(b"\x01" + bytes(300))))
    attempt("sethostname", lambda: raw(170, b"x", 1))
    attempt("swapon", lambda: raw(167, b"/workspace/x", 0))
    attempt("acct", lambda: raw(163, b"/workspace/x"))
    attempt("quotactl", lambda: raw(179, 0x800002, b"/dev/vda", 0, bytes(64)))
    attempt("memfd_secret", lambda: raw(447, 0))
    attempt("shadow stack", lambda: raw(453, 0, 4096, 1))
    attempt("executable memfd", lambda: raw(319, b"x", 0x10))
    attempt("huge memfd", lambda: raw(319, b"x", 4))
    attempt("mincore", lambda: raw(27, 0, 4096, bytes(1)))
    attempt("nowait", lambda: raw(327, 0, 0, 0, 0, 0, 8))
    attempt("drop cache", lambda: raw(221, os.open("/usr/bin/python3", os.O_RDONLY), 0, 0, 4))
    attempt("sync", lambda: raw(306, 0))
    attempt("mbind", lambda: raw(237, 0, 4096, 0, 0, 0, 0))
    attempt("fifo class", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    attempt("rr class", lambda: raw(144, 0, 2 | (1 << 32), struct.pack("i", 1)))
    attempt("deadline class", lambda: raw(314, 0, struct.pack("IIQiIQQQ", 48, 6, 0, 0, 0, 10**6, 10**7, 10**7), 0))
    attempt("rt io", lambda: raw(251, 1, 0, 0x2000))
    attempt("personality", lambda: raw(135, 0x0040000))
    attempt("set mm", lambda: raw(157, 35, 1, 0, 0, 0))
    attempt("subreaper", lambda: raw(157, 36, 1, 0, 0, 0))
    attempt("speculation", lambda: raw(157, 53, 0, 2, 0, 0))
    attempt("core scheduling", lambda: raw(157, 62, 1, 0, 0, 0))
    attempt("tsc", lambda: raw(157, 26, 2, 0, 0, 0))


def terminals():
    for name, number in {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "TIOCCONS": 0x541D, "TIOCSETD": 0x5423, "high TIOCSTI": 0x5412 | (1 << 32),
                         "high TIOCLINUX": 0x541C | (7 << 40)}.items():
        attempt(f"ioctl {name}", lambda: raw(16, 0, number, b"x"))
    attempt("tty", lambda: os.open("/dev/tty", os.O_RDWR))
    attempt("ptmx", lambda: os.open("/dev/ptmx", os.O_RDWR))
    VERDICTS["terminals"] = ",".join(str(fd) for fd in range(3) if os.isatty(fd))


def filters():
    program = struct.pack("HBBI", 6, 0, 0, 0x7FFF0000)
    memory = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxQ", 1, ctypes.addressof(memory))
    for name, flags in [("plain", 0), ("log", 2), ("listener", 8), ("tsync", 1), ("tsync listener", 1 | 8 | 16)]:
        attempt(f"seccomp {name}", lambda: raw(317, 1, flags, header))
    attempt("prctl seccomp", lambda: raw(157, 22, 2, ctypes.addressof(ctypes.create_string_buffer(header)), 0, 0))
    attempt("strict", lambda: raw(317, 0, 0, 0))
    attempt("actions", lambda: raw(317, 2, 0, struct.pack("I", 0)))
    # Landlock only narrows; 16 layers are the kernel's limit, and init's one is among them.
    attributes = struct.pack("QQQ", 1 << 12, 0, 0)
    layers = 0
    pid = os.fork()
    if pid == 0:
        try:
            while layers < 64:
                ruleset = raw(444, attributes, 24, 0)
                raw(446, ruleset, 0)
                os.close(ruleset)
                layers += 1
        except OSError as e:
            os._exit(layers if e.errno == errno.E2BIG else 100)
        os._exit(101)
    VERDICTS["layers"] = str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def init():
    """Everything that the kernel lets one process do to another of the same user, aimed at pid 1."""
    for number in [1, 2, 9, 11, 15, 18, 19, 20, 34, 64]:
        attempt(f"signal {number}", lambda: os.kill(1, number))
    for _ in range(2000):
        os.kill(1, signal.SIGCHLD)
        raw(234, 1, 1, signal.SIGUSR1)
    attempt("pidfd signal", lambda: signal.pidfd_send_signal(os.pidfd_open(1), signal.SIGKILL))
    attempt("queue", lambda: raw(129, 1, 34, struct.pack("iiiiii", 34, 0, -1, 0, os.getpid(), 65532) + bytes(104)))
    attempt("own by fcntl", lambda: fcntl.fcntl(socket.socketpair()[0], fcntl.F_SETOWN, 1))
    attempt("demote nice", lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))
    attempt("demote group", lambda: os.setpriority(os.PRIO_PGRP, 1, 19))
    attempt("demote user", lambda: os.setpriority(os.PRIO_USER, 65532, 19))
    attempt("demote idle", lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))
    attempt("demote batch", lambda: os.sched_setscheduler(1, os.SCHED_BATCH, os.sched_param(0)))
    attempt("demote param", lambda: os.sched_setparam(1, os.sched_param(0)))
    attempt("demote affinity", lambda: os.sched_setaffinity(1, {0}))
    attempt("demote io", lambda: raw(251, 1, 1, 0x6007))
    attempt("demote io group", lambda: raw(251, 2, 1, 0x6007))
    attempt("demote io user", lambda: raw(251, 3, 65532, 0x6007))
    attempt("demote high bits", lambda: raw(141, 0, 1 | (1 << 32), 19))
    for resource, name in [(7, "files"), (0, "cpu"), (9, "memory"), (6, "processes")]:
        attempt(f"limit {name}", lambda: raw(302, 1, resource, struct.pack("QQ", 0, 0), 0))
    attempt("limit high bits", lambda: raw(302, 1 | (1 << 32), 7, struct.pack("QQ", 0, 0), 0))
    attempt("session", lambda: os.setpgid(1, 1))
    attempt("join group", lambda: os.setpgid(0, 1))
    attempt("migrate", lambda: raw(256, 1, 8, bytes(8), bytes(8)))
    attempt("reap", lambda: raw(448, os.pidfd_open(1), 0))


def labels():
    for path in ["attr/current", "attr/exec", "attr/fscreate", "attr/keycreate", "attr/sockcreate", "timens_offsets"]:
        attempt(f"label {path}", lambda: write(f"/proc/self/{path}", b"monotonic 1 0"))
        attempt(f"init's {path}", lambda: write(f"/proc/1/{path}", b"x"))
