# Packets to everywhere. HOST are addresses of the host, PORTS its listening ports: TCP, then UDP.
import socket, time


def timed(name, call):
    began = time.monotonic()
    attempt(name, call)
    VERDICTS[f"seconds {name}"] = str(round(time.monotonic() - began, 2))


def stream(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(4)
        sock.connect((address, port))
        sock.send(b"out")


def datagram(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(b"out", (address, port))


FORWARD = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
           "10.0.0.1", "172.16.0.1", "192.168.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "240.0.0.1", "203.0.113.10", "2001:db8::10", "fc00::1", "fe80::1",
           "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8", "224.0.0.251", "224.0.0.252", "255.255.255.255",
           "ff02::fb", "ff02::1:3"]


def forward():
    for address in FORWARD + HOST:
        for port in (53, 80):
            timed(f"tcp {address} {port}", lambda: stream(address, port))
            timed(f"udp {address} {port}", lambda: datagram(address, port))
    for port in (853, 5353, 5355, 137):
        timed(f"udp 224.0.0.251 {port}", lambda: datagram("224.0.0.251", port))


def names():
    for name in ["example.com", "metadata.google.internal", "localhost.example.com", "instance-data", "host.docker.internal", "a" * 60 + ".example.com", "_dns.resolver.arpa"]:
        timed(f"name {name}", lambda: socket.getaddrinfo(name, 80))
    timed("reverse", lambda: socket.gethostbyaddr("8.8.8.8"))
    VERDICTS["resolvers"] = open("/etc/resolv.conf").read()
    import subprocess
    for command in ["curl -sS -m 4 http://example.com/", "curl -sS -m 4 http://169.254.169.254/latest/meta-data/", "git ls-remote https://example.com/x.git",
                    "pip download --no-deps nothing-of-this-name", "node -e \"fetch('http://example.com').catch(e => process.exit(1))\""]:
        def run():
            done = subprocess.run(command, shell=True, capture_output=True, timeout=50)
            if done.returncode:
                raise OSError(errno.ENETUNREACH, "failed")

        timed(f"program {command.split()[0]}", run)


def loopback():
    for address in ["127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", *HOST]:
        for port in [*PORTS, 22, 80, 443, 3128, 8080]:
            timed(f"tcp {address} {port}", lambda: stream(address, port))
            timed(f"udp {address} {port}", lambda: datagram(address, port))
    for name in ["localhost", "localhost.", "LOCALHOST"]:
        timed(f"tcp name {name}", lambda: stream(socket.gethostbyname(name), PORTS[0]))
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    timed("own", lambda: stream("127.0.0.1", listening.getsockname()[1]))


def configure():
    import fcntl
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = ctypes.create_string_buffer(struct.pack("16sH14s", b"lo", 2, bytes(14)))
    for name, number in {"address": 0x8916, "flags": 0x8914, "mtu": 0x8922, "route": 0x890B, "hardware": 0x8924, "name": 0x8923, "bridge": 0x89A0, "vlan": 0x8983,
                         "tunnel": 0x89F1, "arp": 0x8955}.items():
        attempt(f"set {name}", lambda: raw(16, control.fileno(), number, request))
    VERDICTS["interfaces"] = ",".join(sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]))
    attempt("bind low", lambda: socket.socket().bind(("127.0.0.1", 22)))
    attempt("bind host", lambda: socket.socket().bind((HOST[0] if HOST else "192.0.2.1", 0)))
    attempt("device", lambda: socket.socket().setsockopt(socket.SOL_SOCKET, 25, b"eth0\0"))
    attempt("mark", lambda: socket.socket().setsockopt(socket.SOL_SOCKET, 36, 1))
    attempt("transparent", lambda: socket.socket().setsockopt(0, 19, 1))
