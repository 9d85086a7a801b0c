"""Gives fontconfig its cache beforehand, and the rules that its maintainer script would have switched on.

Without a cache every new browser reads every font of the image before it draws its first letter. fc-cache runs inside the image:
a cache names the fonts by their paths there, and fc-cache's own option for another root lists the host's folders all the same.
"""

from . import enter, tree
from .run import BuildError

# Debian's answers to its own questions (fontconfig-config, debconf): slight hinting, no subpixels, no bitmap fonts.
_RULES = ("10-hinting-slight.conf", "11-lcdfilter-default.conf", "70-no-bitmaps.conf")
_AVAILABLE = "usr/share/fontconfig/conf.avail"
_CACHE = "var/cache/fontconfig"


def write(progress, root):
    """Does nothing if the image has no fc-cache."""
    if not (root / "usr/bin/fc-cache").exists():
        return
    for rule in _RULES:
        if (root / _AVAILABLE / rule).exists():
            tree.link(root, f"etc/fonts/conf.d/{rule}", f"/{_AVAILABLE}/{rule}")
    progress.step("listing the fonts")
    # A cache is used while the folder that it describes has the time that it had: it must have its final one now.
    tree.normalise(root / "usr/share/fonts")
    tree.make_dir(root, _CACHE)
    # For nobody in particular, as whom fc-cache runs. The tree's last stage sets the mode that everything has.
    (root / _CACHE).chmod(0o777)
    try:
        enter.run(root, ["/usr/bin/fc-cache", "--really-force", "--system-only"], env={"SOURCE_DATE_EPOCH": str(tree.MTIME)})
    except BuildError as error:
        # Only speed is lost; a host without namespaces can still build.
        progress.warn(f"no list of fonts in the image, so the first text in a new browser is slower: {error}")
    for file in sorted((root / _CACHE).iterdir()):
        # Written anew, to belong to whoever builds.
        tree.write(root, file.relative_to(root), file.read_bytes())
