# Ways out of, and writes into, the file system of a sandbox. HOST is a list of paths that exist on the host.
import fcntl, glob, socket, stat

UP = "/workspace/" + "../" * 40


def look():
    for path in HOST:
        attempt(f"absolute {path}", lambda: read(path))
        attempt(f"dots {path}", lambda: read(UP + path.lstrip("/")))
        attempt(f"root {path}", lambda: read("/proc/self/root" + path))
        attempt(f"list {path}", lambda: os.listdir(path))


def change_root():
    os.makedirs("/workspace/jail", exist_ok=True)
    attempt("chroot", lambda: raw(161, b"/workspace/jail"))
    attempt("chroot .", lambda: raw(161, b"."))
    attempt("pivot_root", lambda: raw(155, b".", b"."))
    attempt("unshare user", lambda: raw(272, 0x10000000))
    attempt("unshare mount", lambda: raw(272, 0x00020000))
    held = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISDIR(os.fstat(int(fd)).st_mode):
                held.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass  # the descriptor of the listing itself
    VERDICTS["directories held"] = ",".join(held)


def change_image():
    fd = os.open("/usr/bin/python3", os.O_RDONLY)
    for path in ["/usr/bin/python3", "/usr/lib/python3.11/os.py", "/etc/passwd", "/etc/hostname", "/etc/machine-id",
                 "/opt/cloister/python/driver.py", "/bin/sh"]:
        attempt(f"write {path}", lambda: write(path, b"x"))
        attempt(f"truncate {path}", lambda: os.truncate(path, 0))
        attempt(f"chmod {path}", lambda: os.chmod(path, 0o777))
        attempt(f"chown {path}", lambda: os.chown(path, 65532, 65532))
        attempt(f"utime {path}", lambda: os.utime(path))
        attempt(f"xattr {path}", lambda: os.setxattr(path, "user.x", b"x"))
        attempt(f"unlink {path}", lambda: os.unlink(path))
        attempt(f"replace {path}", lambda: os.replace("/workspace/jail", path))
    for place in ["/", "/usr", "/etc", "/usr/lib/python3/dist-packages", "/opt/cloister", "/root", "/var/cache", "/run", "/sys", "/mnt",
                  "/var/lib", "/home", "/dev", "/proc", "/proc/self"]:
        attempt(f"create {place}", lambda: os.open(f"{place}/planted", os.O_CREAT | os.O_WRONLY))
        attempt(f"mkdir {place}", lambda: os.mkdir(f"{place}/planted"))
        attempt(f"symlink {place}", lambda: os.symlink("x", f"{place}/planted"))
        attempt(f"bind {place}", lambda: raw(165, b"/workspace", place.encode(), b"", 4096, 0))
        attempt(f"remount {place}", lambda: raw(165, b"", place.encode(), b"", 32 | 4096, 0))
    attempt("fchmod", lambda: os.fchmod(fd, 0o777))
    attempt("ftruncate", lambda: os.ftruncate(fd, 0))
    attempt("reopen", lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDWR))


def writable():
    """Every directory and file outside of the storage that this user may write to, found as an attacker would: by trying."""
    found = []
    for place, directories, files in os.walk("/"):
        if place in ("/workspace", "/home/agent", "/tmp", "/dev/shm", "/proc"):
            directories.clear()
            continue
        if os.access(place, os.W_OK):
            found.append(place)
        if place == "/dev":
            continue  # the five devices may be written to
        for name in files:
            path = f"{place}/{name}"
            if not os.path.islink(path) and os.access(path, os.W_OK):
                found.append(path)
    VERDICTS["writable"] = json.dumps(found)


def walk_proc():
    here = os.stat("/")
    for link in ["/proc/self/root", "/proc/self/root/../..", "/proc/thread-self/root", f"/proc/{os.getpid()}/root/.."]:
        there = os.stat(link)
        VERDICTS[f"same {link}"] = str((here.st_dev, here.st_ino) == (there.st_dev, there.st_ino))
    for pid in [p for p in os.listdir("/proc") if p.isdigit()]:
        cwd = os.readlink(f"/proc/{pid}/cwd")
        VERDICTS[f"cwd {pid}"] = cwd
        VERDICTS[f"root {pid}"] = os.readlink(f"/proc/{pid}/root")
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                VERDICTS[f"fd {pid} {fd}"] = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                pass
    for name in ["root", "cwd", "exe", "fd", "mem", "environ", "maps", "task/1/root", "ns/mnt"]:
        attempt(f"init {name}", lambda: os.stat(f"/proc/1/{name}"))
    attempt("map_files", lambda: [read(path) for path in glob.glob("/proc/self/map_files/*")][:1] or os.listdir("/nothing"))


def programs():
    attempt("open own program", lambda: os.open("/proc/self/exe", os.O_RDWR))
    attempt("open init's program", lambda: os.open("/proc/1/exe", os.O_RDONLY))
    attempt("truncate own program", lambda: os.truncate("/proc/self/exe", 0))
    os.symlink("/proc/self/exe", "/workspace/exe")
    with open("/workspace/again", "w") as script:
        script.write("#!/proc/self/exe\n")
    os.chmod("/workspace/again", 0o700)


def devices():
    for node in ["/dev/null", "/dev/zero", "/dev/urandom"]:
        attempt(f"unlink {node}", lambda: os.unlink(node))
        attempt(f"rename {node}", lambda: os.rename(node, node + "2"))
        attempt(f"chmod {node}", lambda: os.chmod(node, 0o600))
        attempt(f"touch {node}", lambda: os.utime(node))
    attempt("create console", lambda: os.symlink("/workspace/x", "/dev/console"))
    attempt("over null", lambda: raw(165, b"/workspace", b"/dev/null", b"", 4096, 0))
    for number, (kind, major, minor) in enumerate([("c", 1, 1), ("c", 1, 2), ("c", 1, 11), ("c", 1, 3), ("b", 8, 0), ("b", 254, 0),
                                                   ("c", 10, 232), ("c", 10, 229), ("c", 10, 200), ("c", 10, 237), ("c", 5, 1)]):
        mode = (stat.S_IFCHR if kind == "c" else stat.S_IFBLK) | 0o666
        attempt(f"mknod {kind} {major}:{minor}", lambda: os.mknod(f"/workspace/node{number}", mode, os.makedev(major, minor)))
    for name in ["mem", "kmem", "kmsg", "sda", "vda", "kvm", "fuse", "net/tun", "loop-control", "loop0", "console", "tty", "tty0", "ptmx",
                 "pts", "mqueue", "hugepages", "userfaultfd", "vsock", "btrfs-control", "nvidia0", "dri"]:
        attempt(f"open {name}", lambda: os.open(f"/dev/{name}", os.O_RDONLY))
    VERDICTS["nodes"] = " ".join(f"{n}={os.major(os.stat('/dev/' + n).st_rdev)}:{os.minor(os.stat('/dev/' + n).st_rdev)}"
                                 for n in sorted(os.listdir("/dev")) if stat.S_ISCHR(os.stat("/dev/" + n).st_mode) and not os.path.islink("/dev/" + n))


def kernel_files():
    """Writes that act on the host. A file that is a bound /dev/null takes everything and does nothing."""
    for path in ["sysrq-trigger", "sys/kernel/core_pattern", "sys/kernel/modprobe", "sys/kernel/hotplug", "sys/kernel/poweroff_cmd",
                 "sys/kernel/hostname", "sys/kernel/domainname", "sys/kernel/yama/ptrace_scope", "sys/kernel/randomize_va_space",
                 "sys/vm/overcommit_memory", "sys/vm/drop_caches", "sys/vm/panic_on_oom", "sys/fs/binfmt_misc/register",
                 "sys/fs/suid_dumpable", "sys/fs/file-max", "sys/net/ipv4/ip_forward", "sys/user/max_user_namespaces",
                 "sys/kernel/ns_last_pid", "sys/kernel/pid_max", "sys/kernel/shmmax", "sys/vm/memfd_noexec", "irq/default_smp_affinity", "mtrr",
                 "self/attr/current", "self/attr/exec", "self/attr/fscreate", "self/timens_offsets", "self/uid_map", "self/gid_map",
                 "self/setgroups", "self/projid_map", "1/oom_score_adj", "kcore", "kmsg", "bus/pci/devices"]:
        full = f"/proc/{path}"
        if os.path.exists(full) and os.stat(full).st_rdev == os.makedev(1, 3):
            continue
        attempt(f"write {path}", lambda: write(full, b"1"))
    for path in ["/sys/kernel/uevent_helper", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/power/state",
                 "/sys/kernel/debug/x", "/sys/module/x"]:
        attempt(f"write {path}", lambda: write(path, b"1"))


def mounts():
    for kind in ["proc", "sysfs", "tmpfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "overlay", "fuse", "devpts", "devtmpfs",
                 "mqueue", "binfmt_misc", "bpf", "ramfs", "ext4", "nfs"]:
        attempt(f"mount {kind}", lambda: raw(165, b"none", b"/tmp", kind.encode(), 0, b""))
        attempt(f"fsopen {kind}", lambda: raw(430, kind.encode(), 0))
    attempt("open_tree", lambda: raw(428, -100, b"/", 1))
    attempt("move_mount", lambda: raw(429, -100, b"/", -100, b"/tmp", 0))
    attempt("umount", lambda: raw(166, b"/proc/kcore", 2))
    attempt("umount workspace", lambda: raw(166, b"/workspace", 2))
    attempt("mount_setattr", lambda: raw(442, -100, b"/", 0, bytes(32), 32))
    attempt("statmount", lambda: raw(457, bytes(64), bytes(64), 64, 0))
    attempt("listmount", lambda: raw(458, bytes(64), bytes(64), 8, 0))


def handles():
    handle = struct.pack("=Ii", 8, 1) + struct.pack("=II", 2, 0)
    attempt("name_to_handle_at", lambda: raw(303, -100, b"/etc", ctypes.create_string_buffer(128), ctypes.create_string_buffer(8), 0))
    root = os.open("/", os.O_RDONLY)
    for inode in range(1, 200):
        attempt(f"open_by_handle_at {inode}", lambda: raw(304, root, handle[:8] + struct.pack("=II", inode, 0), 0))


def links():
    for number, path in enumerate(["/etc/passwd", "/usr/bin/python3", "/etc/machine-id", "/proc/self/environ", "/dev/null"]):
        attempt(f"link {path}", lambda: os.link(path, f"/workspace/link{number}"))
        attempt(f"descriptor {path}", lambda: raw(265, os.open(path, os.O_PATH), b"", -100, f"/workspace/fd{number}".encode(), 0x1000))
    attempt("rename out", lambda: os.rename("/workspace", "/home/agent/w"))


def watches():
    attempt("inotify_init", lambda: raw(253))
    attempt("inotify_init1", lambda: raw(294, 0))
    attempt("fanotify_init", lambda: raw(300, 0, 0))
    place = os.open("/usr/bin", os.O_RDONLY)
    attempt("dnotify", lambda: fcntl.fcntl(place, 1026, 0x1))
    with open("/workspace/leased", "w") as file:
        file.write("x")
    leased = os.open("/workspace/leased", os.O_RDWR)
    attempt("lease", lambda: fcntl.fcntl(leased, 1024, fcntl.F_WRLCK))


def attributes():
    with open("/workspace/stubborn", "w") as file:
        file.write("x")
    fd = os.open("/workspace/stubborn", os.O_RDWR)
    for flag in [0x10, 0x20]:  # immutable, append only
        attempt(f"setflags {flag:#x}", lambda: raw(16, fd, 0x40086602, struct.pack("=L", flag)))
    attempt("fssetxattr", lambda: raw(16, fd, 0x401C5820, bytes(28)))
    attempt("ficlone", lambda: raw(16, fd, 0x40049409, fd))
    attempt("security xattr", lambda: os.setxattr("/workspace/stubborn", "security.capability", struct.pack("<IIIII", 0x02000001, 0xFFFFFFFF, 0, 0, 0)))
    attempt("trusted xattr", lambda: os.setxattr("/workspace/stubborn", "trusted.overlay.opaque", b"y"))


def odd_files():
    os.chdir("/workspace")
    fd = os.open("sparse", os.O_CREAT | os.O_RDWR)
    attempt("8 EiB", lambda: os.ftruncate(fd, 2**63 - 1))
    os.ftruncate(fd, 400 << 20)
    os.mkfifo("fifo")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind("socket")
    os.symlink("loop2", "loop1")
    os.symlink("loop1", "loop2")
    os.symlink("/proc/self/environ", "environ")
    os.makedirs("closed/inner")
    os.chmod("closed", 0)
    for n in range(12_000):
        os.close(os.open(f"many{n}", os.O_CREAT))
    for _ in range(300):
        os.mkdir("deep")
        os.chdir("deep")
    os.chdir("/workspace")
