# --- added by cloister's image build (sandbox-images/drivers/notices/pip_hook.py) ---
# Without a network, pip would fail on a name that does not resolve, after retries. This says why, at once, before it tries.


def _cloister_notice():
    import os
    import sys

    if os.environ.get("CLOISTER_NETWORK") != "none":
        return
    words = sys.orig_argv[1:]
    commands = {"install", "download", "wheel", "index", "search"}
    command = next((word for word in words if word in commands), None)
    if command is None or "--no-index" in words or any(word in ("-h", "--help") for word in words):
        return
    named = words[words.index(command) + 1:]
    # What is given as a file or a folder needs no index, unless it has dependencies; pip will say so then.
    if any(os.path.exists(word) and (os.sep in word or word.endswith((".whl", ".gz", ".zip"))) for word in named):
        return
    policy = os.environ.get("CLOISTER_POLICY", "?")
    allowed = os.environ.get("CLOISTER_ALLOWED", "")
    where = f" What is allowed: {allowed}." if allowed else ""
    sys.stderr.write(
        f"ERROR: pip {command}: this session has no network (cloister policy {policy!r}, rule network.mode = \"none\"), so "
        "nothing can be downloaded. What is installed already: pip list. To install more, ask the operator for an interpreter "
        "whose policy allows package downloads, or upload wheels and use pip install --no-index FILE.{where}\n")
    sys.exit(1)


_cloister_notice()
