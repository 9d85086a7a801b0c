# A document of nested rows, written and read.
import json


def main():
    rows = [{"id": n, "name": f"row {n}", "values": [n * 0.5, n * 0.25, None, True], "nested": {"a": str(n), "b": [n, n + 1]}} for n in range(4000)]
    size = 0
    for _ in range(5):
        text = json.dumps(rows)
        size += len(text) + len(json.loads(text))
    return str(size)
