# Patterns of a log reader over 20,000 lines.
import re


def main():
    line = re.compile(r"(\d+\.\d+\.\d+\.\d+) - (\w+) \[([^\]]+)\] \"(GET|POST) ([^ \"]+)\" (\d{3}) (\d+)")
    text = "".join(f'10.0.{n % 256}.{n % 251} - user{n % 97} [28/Nov/2026:10:{n % 60:02}:00] "GET /page/{n}?q={n * 7}" {200 + n % 5} {n * 13}\n' for n in range(20000))
    total = sum(int(found[7]) for found in line.finditer(text))
    words = len(re.findall(r"\bpage/\d*7\b", text)) + len(re.sub(r"[aeiou]", "", text))
    return f"{total} {words}"
