"""What stays out of an image: manuals, translations, the package manager's data, static libraries, libraries' own tests."""

import os
import shutil

# Left out while unpacking. Copyright files stay: the licences of what is in the image.
NEVER_UNPACKED = (
    "./usr/share/man", "./usr/share/info", "./usr/share/locale", "./usr/share/lintian", "./usr/share/bug", "./usr/share/doc-base",
    "./usr/share/bash-completion", "./usr/share/gitweb", "./usr/share/pixmaps", "./usr/share/applications", "./usr/share/menu",
    "./etc/apt", "./etc/cron.*", "./etc/init.d", "./etc/logrotate.d", "./etc/pam.d", "./etc/dpkg", "./etc/kernel", "./etc/update-motd.d",
    # Of Noto CJK's two faces in several weights, the regular sans-serif is enough to read; others are made from it.
    "./usr/share/fonts/opentype/noto/NotoSerifCJK*", "./usr/share/fonts/opentype/noto/NotoSansCJK-Bold*",
    # Of Noto's faces the regular sans-serif of each script, without what duplicates it: Latin, of which there are other fonts, interface
    # and calligraphic variants, the regional forms of one script. Tibetan has only a serif one. And without the
    # large fonts of scripts that nobody writes today.
    "./usr/share/fonts/truetype/noto/NotoSerif[!T]*", "./usr/share/fonts/truetype/noto/NotoSerifT[!i]*",
    "./usr/share/fonts/truetype/noto/Noto*-Bold*", "./usr/share/fonts/truetype/noto/Noto*UI-*",
    "./usr/share/fonts/truetype/noto/NotoSans-*", "./usr/share/fonts/truetype/noto/NotoSansDisplay*",
    "./usr/share/fonts/truetype/noto/NotoSansMono*", "./usr/share/fonts/truetype/noto/NotoLooped*", "./usr/share/fonts/truetype/noto/NotoKufi*",
    "./usr/share/fonts/truetype/noto/NotoNaskh*", "./usr/share/fonts/truetype/noto/NotoNastaliq*",
    "./usr/share/fonts/truetype/noto/NotoRashi*", "./usr/share/fonts/truetype/noto/NotoTraditional*",
    "./usr/share/fonts/truetype/noto/NotoSansTifinagh[A-Z]*", "./usr/share/fonts/truetype/noto/NotoSansSignWriting*",
    "./usr/share/fonts/truetype/noto/NotoSansCuneiform*", "./usr/share/fonts/truetype/noto/NotoSans*Hieroglyphs*",
    # Vulkan's validation layer and mock driver: for those who develop Chromium.
    "./usr/lib/chromium/libVk*",
    "./lib/systemd", "./usr/lib/systemd", "./usr/lib/tmpfiles.d", "./usr/lib/sysusers.d", "./var/lib/dpkg", "./var/lib/apt", "./var/cache/apt",
)

# Wheels that pack their own tests: tens of megabytes that nobody imports. By name, since `tests` may be part of an API elsewhere.
_TESTS_IN = ("numpy", "pandas", "scipy", "sklearn", "statsmodels", "sympy", "networkx", "matplotlib", "mpl_toolkits", "pyarrow", "docx",
             "patsy", "joblib", "formulaic")
# For compiling against a wheel, which an image without a compiler cannot do.
_DEVELOPMENT = ("pyarrow/include", "pyarrow/src")


def debian(root):
    """After all packages are unpacked."""
    doc = root / "usr/share/doc"
    for package in doc.iterdir() if doc.exists() else ():
        # Some packages link their folder to another one's.
        if package.is_dir() and not package.is_symlink():
            for entry in package.iterdir():
                if entry.name != "copyright":
                    _remove(entry)
    for folder in ("usr/share/zoneinfo/right", "usr/share/zoneinfo/posix", "usr/share/git-core/contrib"):
        _remove(root / folder)
    _remove_files(root, "usr", (".a", ".pod"))
    # Debian's way to say "use apt"; there is no apt, and pip installs into the user's home.
    _remove(root / "usr/lib/python3.11/EXTERNALLY-MANAGED")
    # Looks for Ubuntu's crash reporter at every start of Python.
    _remove(root / "usr/lib/python3.11/sitecustomize.py")
    _remove(root / "etc/python3.11/sitecustomize.py")


def wheels(root, packages):
    """`packages` is the folder of installed wheels below `root`."""
    for name in _TESTS_IN:
        for folder, below, _ in os.walk(root / packages / name):
            if "tests" in below:
                _remove(root / folder / "tests")
                below.remove("tests")
    for name in _DEVELOPMENT:
        _remove(root / packages / name)
    _remove_files(root, packages, (".a", ".pyx", ".pxd"))


def npm(root, modules):
    """`modules` is the folder of npm packages below `root`."""
    for name in ("npm/docs", "npm/man", ".package-lock.json", ".bin"):
        _remove(root / modules / name)


def _remove_files(root, below, suffixes):
    for folder, _, names in os.walk(root / below):
        for name in names:
            if name.endswith(suffixes):
                os.unlink(os.path.join(folder, name))


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
