# What /proc and /sys tell about the host, about init and about others.
import glob, resource, signal


def processes():
    """Every pid there could be, and what is open of each. Own ones are named, for the test to know them."""
    with open("/proc/sys/kernel/pid_max") as file:
        highest = int(file.read())
    seen = []
    for pid in list(range(1, 4000)) + list(range(4000, highest, 997)) + [2**22 - 1]:
        if os.path.exists(f"/proc/{pid}"):
            with open(f"/proc/{pid}/status") as file:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            if fields["Tgid"] == str(pid):
                seen.append(pid)
                VERDICTS[f"uid {pid}"] = fields["Uid"]
    VERDICTS["seen"] = json.dumps(seen)
    VERDICTS["listed"] = json.dumps(sorted(int(p) for p in os.listdir("/proc") if p.isdigit()))
    for name in ["environ", "cmdline", "maps", "mem", "fd", "auxv", "stat", "status", "cgroup", "mountinfo", "stack", "wchan", "oom_score"]:
        attempt(f"init {name}", lambda: open(f"/proc/1/{name}", "rb").read(10))


def leaks():
    for name in ["kallsyms", "kcore", "kmsg", "keys", "key-users", "timer_list", "sched_debug", "interrupts", "slabinfo", "config.gz", "iomem",
                 "ioports", "modules", "vmallocinfo", "latency_stats", "cmdline", "bootconfig", "sysrq-trigger", "kpagecount", "kpageflags",
                 "pagetypeinfo", "acpi/wakeup", "scsi/scsi", "dynamic_debug/control", "driver/rtc", "asound/cards", "pressure/cpu"]:
        attempt(f"proc {name}", lambda: read(f"/proc/{name}") or None)
    VERDICTS["sys"] = json.dumps(os.listdir("/sys"))
    for path in ["/sys/firmware/dmi/tables/DMI", "/sys/kernel/debug", "/sys/fs/cgroup", "/sys/devices/virtual/powercap", "/sys/class/net",
                 "/sys/class/dmi/id/product_uuid", "/sys/kernel/security", "/sys/kernel/tracing", "/run/systemd", "/var/lib/dbus/machine-id"]:
        attempt(f"sys {path}", lambda: os.stat(path))
    speaking = []
    for path in sorted(glob.glob("/proc/*")):
        name = path[6:]
        if name.isdigit() or os.path.isdir(path):
            continue
        try:
            if read(path, 1):
                speaking.append(name)
        except OSError:
            pass
    VERDICTS["speaking"] = json.dumps(speaking)


def paths():
    for name in ["mountinfo", "mounts", "mountstats", "cgroup", "maps", "environ", "cmdline"]:
        VERDICTS[name] = read(f"/proc/self/{name}", 1 << 20).decode("utf-8", "replace")


def network():
    for name in ["dev", "route", "tcp", "tcp6", "udp", "unix", "arp", "netlink", "packet", "fib_trie", "if_inet6", "sockstat"]:
        attempt(f"net {name}", lambda: read(f"/proc/net/{name}", 1 << 16).decode())


def identity():
    VERDICTS["hostname"] = os.uname().nodename
    VERDICTS["domain"] = os.uname()[1] if len(os.uname()) < 6 else ""
    VERDICTS["etc hostname"] = read("/etc/hostname").decode().strip()
    VERDICTS["machine-id"] = read("/etc/machine-id").decode().strip()


def scores():
    for value in [b"-1000", b"-500", b"-1"]:
        attempt(f"score {value.decode()}", lambda: write("/proc/self/oom_score_adj", value))
    VERDICTS["score"] = read("/proc/self/oom_score_adj").decode().strip()
    attempt("old score", lambda: write("/proc/self/oom_adj", b"-17"))
    attempt("score of init", lambda: write("/proc/1/oom_score_adj", b"1000"))
    attempt("setgroups", lambda: os.setgroups([0]))
    attempt("setuid", lambda: os.setuid(0))
    attempt("setresuid", lambda: os.setresuid(0, 0, 0))
    attempt("setgid", lambda: os.setgid(0))
    attempt("capset", lambda: raw(126, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xFFFFFFFF] * 6)))
    attempt("securebits", lambda: raw(157, 28, 0, 0, 0, 0))
    attempt("keepcaps", lambda: raw(157, 8, 1, 0, 0, 0))


def cores():
    VERDICTS["limit"] = str(resource.getrlimit(resource.RLIMIT_CORE))
    for value in [0, 1, 2**30, resource.RLIM_INFINITY]:
        attempt(f"setrlimit {value}", lambda: raw(160, 4, struct.pack("2Q", value & (2**64 - 1), value & (2**64 - 1))))
        attempt(f"prlimit {value}", lambda: resource.prlimit(0, resource.RLIMIT_CORE, (value, value)))
    attempt("filter high bits", lambda: raw(160, 4 + (1 << 32), struct.pack("2Q", 0, 0)))
    attempt("undumpable", lambda: raw(157, 4, 0, 0, 0, 0))
    write("/proc/self/coredump_filter", b"0xff")
    for number in [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGSYS]:
        pid = os.fork()
        if pid == 0:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        VERDICTS[f"died {number}"] = str(os.WTERMSIG(status))
        VERDICTS[f"dumped {number}"] = str(os.WCOREDUMP(status))
