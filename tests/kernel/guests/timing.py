# What measures the machine, or what others do on it.
import mmap, signal, time

# Arguments: none. Machine code that returns what an instruction has read.
RDTSC = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"  # rdtsc; shl rdx, 32; or rax, rdx; ret
RDPMC = b"\x31\xc9\x0f\x33\xc3"  # xor ecx, ecx; rdpmc; ret


def run(code):
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()


def in_child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def page_cache():
    """What tells, or changes, which pages of the image other sessions have read."""
    fd = os.open("/usr/bin/python3", os.O_RDONLY)
    image = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
    buffer = ctypes.create_string_buffer(4096)
    vector = struct.pack("QQ", ctypes.addressof(buffer), 4096)
    _libc.mmap.restype = ctypes.c_void_p
    address = _libc.mmap(None, ctypes.c_size_t(4096), 1, 2, fd, ctypes.c_long(0))
    attempt("cache mincore", lambda: raw(27, address, 4096, ctypes.create_string_buffer(1)))
    attempt("cache cachestat", lambda: raw(451, fd, struct.pack("QQ", 0, 4096), ctypes.create_string_buffer(64), 0))
    attempt("cache nowait", lambda: raw(327, fd, vector, 1, 0, 0, 8))
    attempt("cache dontcache", lambda: raw(327, fd, vector, 1, 0, 0, 0x80))
    attempt("cache drop", lambda: raw(221, fd, 0, 0, 4))
    attempt("cache drop all", lambda: write("/proc/sys/vm/drop_caches", b"3"))
    attempt("cache map", lambda: os.open("/proc/kpageflags", os.O_RDONLY))
    image.close()


def counters():
    """What the kernel counts for others: pressure, groups, accounting, locks."""
    VERDICTS["pressure"] = json.dumps(os.listdir("/proc/pressure") if os.path.exists("/proc/pressure") else [])
    attempt("group tree", lambda: os.listdir("/sys/fs/cgroup"))
    attempt("group pressure", lambda: os.open("/sys/fs/cgroup/cpu.pressure", os.O_RDONLY))
    attempt("group usage", lambda: os.open("/sys/fs/cgroup/cpuacct/cpuacct.usage", os.O_RDONLY))
    attempt("core scheduling", lambda: raw(157, 62, 1, 0, 0, 0))
    attempt("sees load", lambda: read("/proc/loadavg") and None)
    attempt("sees processors", lambda: read("/proc/stat") and None)


def clocks():
    VERDICTS["tsc runs"] = str(run(RDTSC) < run(RDTSC))
    VERDICTS["pmc"] = str(in_child(lambda: run(RDPMC)))
    attempt("trap tsc", lambda: raw(157, 26, 2, 0, 0, 0))
    attempt("ask tsc", lambda: raw(157, 25, ctypes.addressof(ctypes.c_int()), 0, 0, 0))
    attempt("trap cpuid", lambda: raw(158, 0x1012, 0))
    attempt("counter", lambda: raw(298, bytes(128), 0, -1, -1, 0))
    attempt("set clock", lambda: raw(227, 0, struct.pack("qq", 0, 0)))
    attempt("offsets", lambda: write("/proc/self/timens_offsets", b"monotonic 1 0"))
    before = time.monotonic_ns()
    time.sleep(0.01)
    VERDICTS["clock runs"] = str(time.monotonic_ns() - before >= 10_000_000)
