"""TLS for tests: an authority of the test's own, an origin with good and bad certificates, and an image whose browser trusts the authority.

Chromium looks at nobody's store of certificates but its own, its user's and its administrator's. An image of the whole Chromium with one
more file, the administrator's policy, is therefore the only one that loads these pages; the shell has no administrator and trusts none.
"""

import base64
import datetime
import http.server
import json
import os
import pathlib
import shutil
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

IMAGES = pathlib.Path(os.environ.get("CLOISTER_CACHE", pathlib.Path.home() / ".cache/cloister")) / "images"
DAY = datetime.timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """An authority that nobody knows, and what it signs."""

    def __init__(self, title: str = "the authority of a test"):
        self.title, self.key = title, ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(title, self.key, [], -1, 30)

    def _sign(self, subject: str, key, names: list[str], begins: int, ends: int) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(name(self.title), name(subject), key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, folder: pathlib.Path, host: str, begins: int = -1, ends: int = 30, own: bool = False) -> ssl.SSLContext:
        """A server's context with a certificate for `host` that is valid from one day to another, counted from today. With `own`, its
        key is the authority's: it has signed itself.
        """
        key = self.key if own else ec.generate_private_key(ec.SECP256R1())
        file = folder / f"{host}{ends}.pem"
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(self._sign(host, key, [host], begins, ends).public_bytes(serialization.Encoding.PEM) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def image(self, folder: pathlib.Path) -> pathlib.Path:
        """A folder of images: those that are there, and `trusting`, a whole Chromium whose administrator trusts this authority."""
        images = folder / "images"
        images.mkdir()
        for image in IMAGES.iterdir():
            (images / image.name).symlink_to(image)
        version = (IMAGES / "chromium/current").resolve()
        # Links where that is possible: nothing of the image is written to, and one file is added.
        try:
            shutil.copytree(version, images / "trusting/own", symlinks=True, copy_function=os.link)
        except OSError:
            shutil.rmtree(images / "trusting")
            shutil.copytree(version, images / "trusting/own", symlinks=True)
        (images / "trusting/current").symlink_to("own")
        policies = images / "trusting/own/root/etc/chromium/policies/managed"
        policies.mkdir(parents=True)
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        (policies / "authority.json").write_text(json.dumps({"CACertificates": [base64.b64encode(der).decode()]}))
        return images


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.log.append(f"{self.headers['host']} GET {self.path}")
        body = b"<title>secure</title>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Origin(http.server.ThreadingHTTPServer):
    """An origin with a certificate for each name that it is asked for. Its log is `HOST GET /path`."""

    def __init__(self, contexts: dict[str, ssl.SSLContext]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.log = []
        first = next(iter(contexts.values()))

        def choose(socket, host, _):
            socket.context = contexts.get(host, first)

        first.sni_callback = choose
        self.socket = first.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_):
        """A client that does not like the certificate says so and goes."""

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
