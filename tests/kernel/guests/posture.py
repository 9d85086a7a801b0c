# What a guest finds around itself: on the main thread, on another thread, in a child of os.fork, and in a program.
# Written so that it can run as a program by itself.
import ctypes, errno, fcntl, json, os, resource, signal, socket, stat, subprocess, sys, threading

LIMITS = ["CORE", "CPU", "FSIZE", "NOFILE", "NPROC", "MEMLOCK", "MSGQUEUE", "NICE", "RTPRIO", "SIGPENDING", "STACK", "DATA", "AS"]


def status(task):
    with open(f"/proc/thread-self/status" if task is None else f"/proc/self/task/{task}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def kinds(descriptors):
    """Kinds of the open descriptors above 2, without the one that lists them."""
    found = []
    for number in descriptors:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        flags = [line for line in open(f"/proc/self/fdinfo/{number}") if line.startswith("flags")][0]
        inherited = not int(flags.split()[1], 8) & 0o2000000
        found.append([target.split(":")[0], "inherited" if inherited else "private"])
    return sorted(found)


def landlock():
    """What Landlock answers, since 6.10, to a question that only it refuses: what kind of terminal /dev/null is."""
    null = os.open("/dev/null", os.O_RDWR)
    try:
        return fcntl.ioctl(null, 0x5401, bytes(64))
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        os.close(null)


def posture():
    seen = status(None)
    libc = ctypes.CDLL(None, use_errno=True)
    mine = {name: seen[name].split() for name in ("Uid", "Gid", "Groups")}
    mine.update({name: seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "TracerPid", "SigBlk")})
    mine["several filters"] = int(seen["Seccomp_filters"]) >= 2
    mine["namespaces"] = {kind: os.readlink(f"/proc/thread-self/ns/{kind}") for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")}
    mine["landlock"] = landlock()
    umask = os.umask(0o077)
    os.umask(umask)
    mine["umask"] = oct(umask)
    mine["cwd"] = os.getcwd()
    mine["limits"] = {name: list(resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))) for name in LIMITS}
    mine["dumpable"] = libc.prctl(3, 0, 0, 0, 0)
    mine["securebits"] = libc.prctl(27, 0, 0, 0, 0)
    mine["nice"] = os.getpriority(os.PRIO_PROCESS, 0)
    mine["scheduler"] = os.sched_getscheduler(0)
    mine["score"] = open("/proc/self/oom_score_adj").read().strip()
    mine["terminal"] = open("/proc/self/stat").read().rsplit(")", 1)[1].split()[4]
    mine["ignored"] = [n for n in range(1, 32) if signal.getsignal(n) == signal.SIG_IGN]
    return mine


def process():
    """What belongs to the process and not to the thread."""
    listing = os.listdir("/proc/self/fd")
    return {
        "descriptors": kinds([n for n in listing if int(n) > 2]),
        "standard": [os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in range(3)],
        "environment": sorted(os.environ),
        "leader": os.getsid(0) == os.getpid() == os.getpgid(0),
        "parent": os.getppid(),
        "home": os.environ.get("HOME"),
    }


def on_another_thread(work):
    result = []
    thread = threading.Thread(target=lambda: result.append(work()))
    thread.start()
    thread.join()
    return result[0]


def in_a_child(work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


if "as-a-program" in sys.argv:
    print(json.dumps({"posture": posture(), "process": process()}))
else:
    # First of all, before anything else of this cell can change it.
    FIRST = {"posture": posture(), "process": process()}
    with open("/tmp/posture.py", "w") as file:
        file.write(SOURCE)
    program = subprocess.run([sys.executable, "-I", "/tmp/posture.py", "as-a-program"], capture_output=True, text=True)
    os.unlink("/tmp/posture.py")
    print(json.dumps({
        "main thread": FIRST["posture"],
        "another thread": on_another_thread(posture),
        "child": in_a_child(posture),
        "program": json.loads(program.stdout)["posture"],
        "process": FIRST["process"],
        "program's process": json.loads(program.stdout)["process"],
    }))
