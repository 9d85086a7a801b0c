#!/usr/bin/python3
"""Builds sandbox images: read-only root file systems made of Debian packages, wheels, npm packages and our drivers.

    sandbox-images/build.py build [NAME…] [--locked] [--check]   make the image current (a second when nothing changed)
    sandbox-images/build.py lock  [NAME…]                        choose new versions and write the lock files
    sandbox-images/build.py ls    [--json]                       what is built

Works as root and as an ordinary user, without Docker and without running any package's own scripts. See README.md.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

from builder import pipeline, place, publish, relock
from builder.run import BuildError


def main():
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        place.require_host()
        return arguments.run(arguments)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing was published, and finished stages are kept", file=sys.stderr)
        return 130


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="make images current")
    build.add_argument("names", nargs="*", metavar="NAME")
    build.add_argument("--locked", action="store_true",
                       help="a locked Debian package that the mirror no longer has is an error")
    build.add_argument("--check", action="store_true",
                       help="run the image's programs in namespaces of their own and import the preload list")
    build.set_defaults(run=run_build)

    lock = commands.add_parser("lock", help="choose new versions and write the lock files")
    lock.add_argument("names", nargs="*", metavar="NAME")
    lock.set_defaults(run=run_lock)

    ls = commands.add_parser("ls", help="list what is built")
    ls.add_argument("--json", action="store_true")
    ls.set_defaults(run=run_ls)
    return parser.parse_args()


def run_build(arguments):
    with place.exclusive():
        for name in arguments.names or place.image_names(HERE):
            pipeline.build(HERE, name, locked_only=arguments.locked, check=arguments.check)
    return 0


def run_lock(arguments):
    with place.exclusive():
        for name in arguments.names or place.image_names(HERE):
            relock.relock(HERE, name)
    return 0


def run_ls(arguments):
    images = publish.built()
    if arguments.json:
        print(json.dumps(images, indent=2))
    else:
        for image in images:
            print(f"{image['name']:<12} {image['digest'][:12]}  {image['size'] / 1e6:8.0f} MB  {image['files']:>7} files  {image['path']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
