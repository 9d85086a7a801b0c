# Looks for secrets in every readable page of this process, the way an attacker with native code would.
# NEEDLES holds them reversed, and no whole needle is ever made, so that the search does not find itself.


def occurs(data, needle):
    """Where the reverse of `needle` stands in `data`: all but its last byte is searched for, and the last one compared."""
    start, last = needle[:0:-1].encode(), ord(needle[0])
    at = data.find(start)
    while at >= 0:
        if at + len(start) < len(data) and data[at + len(start)] == last:
            return at
        at = data.find(start, at + 1)
    return -1


def search(needles):
    with open("/proc/self/maps") as maps:
        lines = maps.read().splitlines()
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in lines:
            span, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            low, high = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(low)
                data = memory.read(high - low)
            except OSError:
                continue
            for number, needle in enumerate(needles):
                if occurs(data, needle) >= 0:
                    VERDICTS[f"found {number}"] = line[:70]
            del data
    VERDICTS["searched"] = "done"
