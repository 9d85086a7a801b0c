"""What a server leaves on the host, if it leaves anything: processes of its sandboxes, and cgroups.

Other servers run on the same machine, so a `Watch` is on one of them: it looks while the server runs, and again when it has ended.
"""

import os
import pathlib
import re
import time

# Sandboxes of a server that is root get user ids from here on, one each.
FIRST_USER = 0x7000_0000
# Stopping promises 100 ms; a busy machine comes on top.
GONE_WITHIN = 3.0


def processes() -> dict[int, tuple[int, int]]:
    """Parent and start time of every process: a number alone may mean another process a moment later."""
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(stat.parent.name)] = int(fields[1]), int(fields[19])
    return found


def instances(process: int) -> set[str]:
    """The server to whose groups a process belongs: `…/cloister/INSTANCE/…`."""
    try:
        return set(re.findall(r"/cloister/([^/\n]+)", pathlib.Path(f"/proc/{process}/cgroup").read_text()))
    except OSError:
        return set()


class Watch:
    """What a running server has on the host."""

    def __init__(self, server: int):
        now = processes()
        self.processes = {
            (process, began) for process, (_, began) in now.items() if self._is_below(process, server, now)
        }
        self.instances = set().union(*(instances(process) for process, _ in self.processes))
        roots = [pathlib.Path(root) for root, _, _ in os.walk("/sys/fs/cgroup") if root.endswith("/cloister")]
        self.groups = [root / instance for root in roots for instance in self.instances if (root / instance).exists()]

    def left(self) -> list[str]:
        """What is still there of it, in sentences, after it had time to go."""
        deadline = time.monotonic() + GONE_WITHIN
        while (left := self._look()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _look(self) -> list[str]:
        now = {(process, began) for process, (_, began) in processes().items()}
        strays = {
            (process, began)
            for process, began in now
            if self._user(process) >= FIRST_USER and instances(process) & self.instances
        }
        left = [f"process {process} of a sandbox is left" for process, _ in sorted(now & self.processes | strays)]
        return left + [f"cgroup {group} is left" for group in self.groups if group.exists()]

    @staticmethod
    def _is_below(process: int, server: int, now: dict[int, tuple[int, int]]) -> bool:
        while process in now and process > 1:
            process = now[process][0]
            if process == server:
                return True
        return False

    @staticmethod
    def _user(process: int) -> int:
        try:
            return os.stat(f"/proc/{process}").st_uid
        except OSError:
            return -1
