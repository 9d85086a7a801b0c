"""What a proxy test has on loopback: a forward proxy that keeps a log, and origins that it or the server can reach.

browser ─▶ server ─┬─▶ Proxy ── GET http://… ─▶ answered by the proxy itself     log: ["GET http://…", "CONNECT host:port"]
                   │     └───── CONNECT ──────▶ the echo, byte for byte
                   └─▶ Origin                                                    log: ["GET /path"]
"""

import contextlib
import http.server
import socket
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.log.append(f"GET {self.path}")
        body = f"<title>{self.server.title}</title>{self.path}".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self):
        self.server.log.append(f"CONNECT {self.path}")
        if self.server.tunnel is None:
            return self.send_error(405)
        with socket.create_connection(self.server.tunnel) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pour, args=(far, self.connection))
            back.start()
            pour(self.connection, far)
            back.join()
        self.close_connection = True

    def log_message(self, *_):
        pass


def pour(source: socket.socket, sink: socket.socket):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    # The end of one direction is the end of the tunnel.
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Loopback(http.server.ThreadingHTTPServer):
    """An origin, or a proxy that tunnels to one address whatever it is asked for. Its log is what it was asked for."""

    def __init__(self, title: str, address: str = "127.0.0.1", tunnel: tuple[str, int] | None = None):
        super().__init__((address, 0), Handler)
        self.title, self.tunnel, self.log = title, tunnel, []
        self.address, self.port = self.server_address[:2]

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


@contextlib.contextmanager
def echo():
    """The address of a WebSocket server that says everything again."""

    def again(client):
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                client.send(message)

    with serve(again, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[:2]
        server.shutdown()
