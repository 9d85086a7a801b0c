"""One cloister server for a test run: started as a user starts it, stopped as a supervisor stops it, and nothing may be left.

server.py COMMAND…      runs COMMAND with its AWS clients pointed at a server of its own; exit status: COMMAND's, or 1

serve on a free port ─▶ /readyz ─▶ COMMAND ─▶ SIGTERM ─▶ exit 0? ─▶ no process, cgroup or sandbox folder left?
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import leftovers

HERE = pathlib.Path(__file__).resolve().parent
# A debug build on a busy machine imports the analysis stack into its zygote first.
READY_WITHIN = 60
# Draining ends every session; the server itself gives requests 10 s.
STOPPED_WITHIN = 30


class Server:
    """A server in a data folder of its own. `with Server() as server:` starts and stops it."""

    def __init__(self, *arguments: str):
        self.program = os.environ["CLOISTER_BIN"]
        self.arguments = arguments
        self.log = tempfile.NamedTemporaryFile("w+", prefix="cloister-conformance-", suffix=".log")
        self.folder = tempfile.TemporaryDirectory(prefix="cloister-conformance-")
        self.process = None
        self.url = None

    def __enter__(self) -> "Server":
        command = [self.program, "serve", "--listen", "127.0.0.1:0", "--data-dir", self.folder.name]
        self.process = subprocess.Popen([*command, *self.arguments], stdout=self.log, stderr=self.log)
        try:
            self.url = self._published()
            self._wait(lambda: urllib.request.urlopen(f"{self.url}/readyz", timeout=5).status == 200, "is not ready")
        except BaseException:
            self.process.kill()
            raise
        return self

    def environment(self) -> dict[str, str]:
        """The environment of a shell that has evaluated what `cloister env` prints, and nothing else about AWS."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CLOISTER_", "BEDROCK_"))
        }
        for kept in ("CLOISTER_BIN", "CLOISTER_CACHE", "CLOISTER_CONFORMANCE_JS"):
            if kept in os.environ:
                clean[kept] = os.environ[kept]
        # No file of this machine's user decides about credentials or regions.
        clean |= {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        script = 'eval "$("$1" env --data-dir "$2")" && env -0'
        lines = subprocess.run(
            ["bash", "-c", script, "-", self.program, self.folder.name], env=clean, stdout=subprocess.PIPE, check=True
        )
        return dict(entry.decode().split("=", 1) for entry in lines.stdout.rstrip(b"\0").split(b"\0"))

    def stop(self) -> list[str]:
        """Ends the server as a supervisor does. What was not as promised, in sentences."""
        had = self._sandboxes()
        watch = leftovers.Watch(self.process.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return [f"the server did not end within {STOPPED_WITHIN} s of SIGTERM"]
        problems = [] if status == 0 else [f"the server ended with status {status} after SIGTERM"]
        problems += [f"the sandbox folder {folder} is left" for folder in self._sandboxes()]
        problems += watch.left()
        if not had and "--pool" not in self.arguments:
            problems.append("the server had no sandbox at all, so that it proves nothing that none is left")
        return problems

    def __exit__(self, *_):
        problems = (
            self.stop() if self.process.poll() is None else [f"the server died with status {self.process.returncode}"]
        )
        if problems:
            self.log.seek(0)
            sys.stderr.write(self.log.read()[-20_000:])
        self.folder.cleanup()
        assert not problems, problems

    def _sandboxes(self) -> list[pathlib.Path]:
        return [entry for entry in pathlib.Path(self.folder.name, "sandboxes").glob("*") if entry.is_dir()]

    def _published(self) -> str:
        endpoint = pathlib.Path(self.folder.name, "endpoint")
        self._wait(endpoint.exists, "has published no endpoint")
        return endpoint.read_text().strip()

    def _wait(self, condition, complaint: str) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.log.read()}")
            try:
                if condition():
                    return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the server {complaint} after {READY_WITHIN} s")


def main() -> int:
    arguments = ["--config", str(HERE / "cloister.toml"), "--policies", str(HERE / "policies")]
    with tempfile.TemporaryDirectory(prefix="cloister-conformance-") as scratch, Server(*arguments) as server:
        # Whatever the clients leave lying about goes away with it.
        command = subprocess.run(sys.argv[1:], env=server.environment() | {"TMPDIR": scratch})
    print("conformance: the server ended with status 0 and left no process, cgroup or sandbox folder behind")
    return command.returncode


if __name__ == "__main__":
    sys.exit(main())
