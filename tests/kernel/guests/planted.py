# Start-up files of every program that reads some, each of which leaves a mark if it ever runs.
import pathlib, site, sysconfig

MARK = "open('/tmp/marks', 'a').write(__file__ + '\\n')"
SHELL = "echo $0 >> /tmp/marks"
home, work = pathlib.Path("/home/agent"), pathlib.Path("/workspace")


def put(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


packages = home / ".local/lib/python3.11/site-packages"
for place in (packages, work):
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "json.py", "ctypes.py", "_cloister.py", "numpy.py"):
        put(place / name, MARK)
put(packages / "planted.pth", "import os; os.system('touch /tmp/pth')\n")
put(work / "pyvenv.cfg", "home = /workspace\n")
for name in (".bashrc", ".bash_profile", ".profile", ".bash_login", ".bash_logout", ".inputrc", ".zshrc", ".xprofile"):
    put(home / name, SHELL)
    put(work / name, SHELL)
put(work / ".git/config", "[core]\n\tfsmonitor = echo git >> /tmp/marks\n\thooksPath = /workspace/hooks\n")
put(work / ".git/HEAD", "ref: refs/heads/main\n")
for hook in ("pre-commit", "post-checkout", "post-index-change"):
    put(work / "hooks" / hook, "#!/bin/sh\n" + SHELL, 0o755)
put(home / ".config/pip/pip.conf", "[global]\nindex-url = http://127.0.0.1:1/\n")
put(home / ".netrc", "machine example.com login a password b\n")
put(home / ".npmrc", "node-options=--require=/workspace/x.js\n")
put(work / "node_modules/x.js", "require('fs').appendFileSync('/tmp/marks', 'node')")
put(home / ".matplotlib/matplotlibrc", "backend: module://planted\n")
put(home / ".config/matplotlib/matplotlibrc", "backend: module://planted\n")
put(work / "matplotlibrc", "backend: module://planted\n")
put(home / ".local/bin/python3", "#!/bin/sh\n" + SHELL, 0o755)
put(home / ".local/bin/bash", "#!/bin/sh\n" + SHELL, 0o755)
put(home / ".local/bin/true", "#!/bin/sh\n" + SHELL, 0o755)
os.environ["PYTHONSTARTUP"] = os.environ["BASH_ENV"] = os.environ["ENV"] = "/workspace/.bashrc"
