"""Points the browser client of the AgentCore SDK at a cloister server. `cloister run -- COMMAND` puts it on PYTHONPATH.

The SDK's BrowserClient builds the address of the browser's stream for AWS hosts only, and for TLS only. This module waits until a
program imports `bedrock_agentcore.tools.browser_client` and then rewrites the two addresses that it hands out:

    generate_ws_headers()       wss://bedrock-agentcore.REGION.amazonaws.com/…  →  ws://HOST:PORT/…, signed for HOST:PORT
    generate_live_view_url()    https://…                                       →  http://HOST:PORT/…

Nothing else changes, and a program that does not use the SDK does not notice. HOST:PORT is that of CLOISTER_ENDPOINT.
Python imports a module of this name at its start (see `site`); one that was there before is run as well.
"""

import os
import sys

MODULE = "bedrock_agentcore.tools.browser_client"


def rewrite(module):
    """Makes the clients of the SDK's module give out addresses of the server in CLOISTER_ENDPOINT."""
    import functools
    import urllib.parse

    server = urllib.parse.urlsplit(os.environ.get("CLOISTER_ENDPOINT", ""))
    if not server.netloc or server.scheme not in ("http", "https"):
        return
    endpoint = "https://" + server.netloc

    def data_plane(region=None):
        # The SDK takes the scheme off and signs for what is left.
        return endpoint

    def plain(url):
        if server.scheme == "http":
            for tls, clear in (("wss://", "ws://"), ("https://", "http://")):
                if url.startswith(tls):
                    return clear + url[len(tls) :]
        return url

    client = module.BrowserClient
    headers, live_view = client.generate_ws_headers, client.generate_live_view_url

    @functools.wraps(headers)
    def generate_ws_headers(self, *arguments, **named):
        url, given = headers(self, *arguments, **named)
        return plain(url), given

    @functools.wraps(live_view)
    def generate_live_view_url(self, *arguments, **named):
        return plain(live_view(self, *arguments, **named))

    module.get_data_plane_endpoint = data_plane
    client.generate_ws_headers = generate_ws_headers
    client.generate_live_view_url = generate_live_view_url


class Loader:
    """The module's own loader, with `rewrite` behind it."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        try:
            rewrite(module)
        except AttributeError as error:
            # Another version of the SDK: said here, or the program would connect to AWS and nobody would know why.
            sys.stderr.write(f"cloister: this version of {MODULE} is not known ({error}); its streams stay those of AWS\n")

    def __getattr__(self, name):
        return getattr(self.loader, name)


class Finder:
    """Finds the SDK's module as Python would, and gives it the loader above."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = Loader(spec.loader)
                return spec
        return None


def run_the_one_before():
    """Runs the `sitecustomize` that this file hides, if there is one, in its own name."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    spec = PathFinder.find_spec(__name__, [entry for entry in sys.path if os.path.abspath(entry) != here])
    if spec is None or spec.loader is None:
        return
    sys.modules[__name__] = module = module_from_spec(spec)
    spec.loader.exec_module(module)


sys.meta_path.insert(0, Finder())
if __name__ == "sitecustomize":
    run_the_one_before()
