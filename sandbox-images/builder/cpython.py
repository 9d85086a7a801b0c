"""CPython for WebAssembly: the compiler unpacked, the interpreter compiled, our shim linked to it.

    tools      clang, lld, WASI's libc; a Python of the same version for this host
      └▶ libpython   C libraries, configure, libpython3.13.a and the headers, the standard library
           └▶ module      shim.c and bulk.c linked to it: python.wasm, lib/python with compiled files

Nothing is installed and nothing of it is in the image but what `module` leaves. The three are apart because a change to the shim
should cost a second, and CPython costs minutes.
"""

import concurrent.futures
import os
import shutil
import tempfile
from pathlib import Path

from . import clibs, debs, place, python, stages, toolchain, tree
from .run import BuildError, output

# What every wasm runtime of today has. Debian's libc for WASI was compiled without them.
_FEATURES = ["-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint", "-mmutable-globals"]
_PROGRAMS = ("clang", "lld", "wasm-ld", "llvm-ar", "llvm-ranlib", "ld.lld")
_LIBRARIES = ("z", "bz2", "lzma", "sqlite3")
_ARCHIVES = ("libpython3.13.a", "Modules/_hacl/libHacl_Hash_SHA2.a", "Modules/expat/libexpat.a", "Modules/_decimal/libmpdec/libmpdec.a")
_EMULATED = ("wasi-emulated-signal", "wasi-emulated-getpid", "wasi-emulated-process-clocks", "wasi-emulated-mman", "m")
# Debian's own changes are for its file system; its fixes are for everybody.
_FIXES = ("CVE-", "ssl-", "dict-use-after-free", "traverse-managed-dicts", "issue")
# Of the library: tests, and what needs a screen, a network of its own or a C compiler.
_LEFT_OUT = ("idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "venv", "ctypes", "curses", "dbm/gnu.py", "dbm/ndbm.py",
             "lib2to3", "__phello__")
STACK = 4 << 20  # bytes of linear memory for C's stack


class Compiler:
    """Clang for wasm32-wasip1, as the stage `tools` has it."""

    def __init__(self, tools):
        self.tools = tools
        self.python = tools / "python"
        flags = ["--target=wasm32-wasi", f"--sysroot={tools}/guest/usr", "-resource-dir", f"{tools}/host/usr/lib/llvm-19/lib/clang/19",
                 *_FEATURES]
        self.cc = [str(tools / "bin/clang"), *flags]
        self.ar = str(tools / "bin/llvm-ar")

    def environment(self, **more):
        """For programs that call the compiler: clang looks for its linker by name."""
        return place.environment(PATH=f"{self.tools}/bin:/usr/bin:/bin", **more)

    def compile(self, source, target, options, folder):
        """One object file. No path of this host gets into it."""
        output([*self.cc, "-O2", f"-ffile-prefix-map={source.parent}=.", *options, "-c", source, "-o", target],
               cwd=folder, env=self.environment(), what=f"compiling {source.name}")

    def archive(self, prefix, name, sources, options, headers):
        """`prefix`/lib/lib`name`.a of `sources`, and `headers` in `prefix`/include."""
        (prefix / "lib").mkdir(parents=True, exist_ok=True)
        (prefix / "include").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=prefix) as scratch:
            objects = [Path(scratch, f"{number:03}-{source.stem}.o") for number, source in enumerate(sources)]
            with concurrent.futures.ThreadPoolExecutor(_jobs()) as pool:
                list(pool.map(lambda pair: self.compile(*pair, options, scratch), zip(sources, objects)))
            output([self.ar, "rcsD", prefix / f"lib/lib{name}.a", *objects], env=self.environment(), what=f"lib{name}.a")
        for header in headers:
            (shutil.copytree if header.is_dir() else shutil.copyfile)(header, prefix / "include" / header.name)


def tools_stage(progress, used):
    """The compiler and the Python that runs here, from Debian packages."""

    def make(root):
        for release, place_of in (("bookworm", "host"), ("trixie", "guest")):
            (root / place_of).mkdir()
            for number, deb in enumerate(used.debs[release], 1):
                progress.step(f"unpacking {number}/{len(used.debs[release])} {deb.name}")
                debs.unpack(toolchain.kept(deb.sha256), root / place_of)
        programs = root / "host/usr/lib/llvm-19/bin"
        for path in programs.iterdir():
            if path.name not in _PROGRAMS and path.resolve().name not in _PROGRAMS:
                path.unlink()
        libraries = "$here/host/usr/lib/x86_64-linux-gnu:$here/host/usr/lib/llvm-19/lib"
        for name in ("clang", "wasm-ld", "llvm-ar", "llvm-ranlib"):
            script = _launcher(f'LD_LIBRARY_PATH={libraries} exec "$here/host/usr/lib/llvm-19/bin/{name}" "$@"', depth="..")
            tree.write(root, f"bin/{name}", script, executable=True)
        tree.link(root, "bin/wasm-ld-19", "wasm-ld")
        # Trixie's Python needs trixie's libc, so it is started by that libc's own loader.
        tree.write(root, "python", _launcher(
            'PYTHONHOME=$here/guest/usr exec "$here/guest/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path '
            '"$here/guest/usr/lib/x86_64-linux-gnu:$here/host/usr/lib/x86_64-linux-gnu" "$here/guest/usr/bin/python3.13" -B "$@"', depth="."),
            executable=True)
        # Here and not as it runs (-B): what an interpreter has imported from a compiled file shows in the bytes of what it compiles.
        progress.step("compiling the library of the Python that runs here")
        python.compile_tree(root, "guest/usr/lib/python3.13", interpreter=root / "python")

    key = stages.key_of(used.plain()["debs"], stages.source_of(debs, python, tree), Path(__file__))
    return stages.ensure(progress, "tools", key, None, make)


def library_stage(progress, tools, used):
    """libpython and its headers, and the standard library as the source has it."""

    def make(root):
        compiler = Compiler(tools.root)
        with tempfile.TemporaryDirectory(dir=place.work("tmp")) as scratch:
            scratch = Path(scratch)
            source = _unpack(progress, used.sources["trixie"][0], scratch)
            progress.step("compiling zlib, bzip2, liblzma and SQLite")
            clibs.compile_all(compiler, used.crates, root / "prefix")
            build = scratch / "build"
            build.mkdir()
            _configure(progress, compiler, source, build, root / "prefix")
            _make(progress, compiler, source, build, scratch)
            for archive in _ARCHIVES:
                shutil.copyfile(build / archive, root / "prefix/lib" / Path(archive).name)
            shutil.copytree(source / "Include", root / "prefix/include/python")
            shutil.copyfile(build / "pyconfig.h", root / "prefix/include/python/pyconfig.h")
            shutil.copytree(source / "Lib", root / "lib", ignore=shutil.ignore_patterns("test", "__pycache__"))

    key = stages.key_of(tools.key, used.plain()["sources"], used.plain()["crates"], stages.source_of(clibs), Path(__file__))
    return stages.ensure(progress, "libpython", key, None, make)


def module_stage(progress, tools, library, source):
    """python.wasm and lib/python. `source` is the folder of the image: shim.c, bulk.c and lib/."""
    own = sorted((source / "lib").glob("*.py"))

    def make(root):
        compiler, prefix = Compiler(tools.root), library.root / "prefix"
        progress.step("linking the interpreter")
        with tempfile.TemporaryDirectory(dir=place.work("tmp")) as scratch:
            scratch = Path(scratch)
            headers = prefix / "include/python"
            compiler.compile(source / "shim.c", scratch / "shim.o",
                             ["-Wall", "-Werror", "-DPy_BUILD_CORE", "-D_WASI_EMULATED_SIGNAL", f"-I{headers}", f"-I{headers}/internal"], scratch)
            compiler.compile(source / "bulk.c", scratch / "bulk.o", ["-Wall", "-Werror", "-fno-builtin"], scratch)
            output([*compiler.cc, "-mexec-model=reactor", f"-Wl,-z,stack-size={STACK}", "-Wl,--stack-first", "-Wl,--export=__stack_pointer",
                    "-Wl,--export-table", "-Wl,--gc-sections", "-Wl,--strip-debug", "-o", root / "python.wasm", "shim.o", "bulk.o",
                    *(prefix / "lib" / Path(archive).name for archive in _ARCHIVES), f"-L{prefix}/lib",
                    *(f"-l{name}" for name in (*_LIBRARIES, *_EMULATED))],
                   cwd=scratch, env=compiler.environment(), what="linking python.wasm")
        shutil.copytree(library.root / "lib", root / "lib/python", ignore=shutil.ignore_patterns("test", "tests", "__pycache__"))
        for name in _LEFT_OUT:
            path = root / "lib/python" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for path in own:
            tree.write(root, f"lib/python/{path.name}", path.read_bytes())
        progress.step("compiling the standard library")
        python.compile_tree(root, "lib/python", interpreter=compiler.python)

    key = stages.key_of(tools.key, library.key, source / "shim.c", source / "bulk.c", [path.name for path in own], *own,
                        stages.source_of(python, tree), Path(__file__))
    return stages.ensure(progress, "module", key, None, make)


def _launcher(command, depth):
    """A script that finds itself: the stage is renamed when it is finished."""
    return f'#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")/{depth}\n{command}\n'


def _unpack(progress, source, scratch):
    progress.step("unpacking CPython")
    (orig,) = (sha256 for file, sha256 in source.files.items() if file.endswith(".orig.tar.xz"))
    (debian,) = (sha256 for file, sha256 in source.files.items() if file.endswith(".debian.tar.xz"))
    for archive, folder in ((orig, "python"), (debian, "packaging")):
        (scratch / folder).mkdir()
        output(["tar", "-xJ", "--no-same-owner", "-C", scratch / folder, "-f", toolchain.kept(archive),
                *(["--strip-components=1"] if folder == "python" else [])], env=place.environment(), what=f"unpacking {source.name}")
    patches = scratch / "packaging/debian/patches"
    for line in (patches / "series").read_text(encoding="utf-8").splitlines():
        if line.startswith(_FIXES):
            output(["git", "apply", "-p1", patches / line.strip()], cwd=scratch / "python",
                   env=place.environment(GIT_CEILING_DIRECTORIES=str(scratch)), what=f"Debian's fix {line}")
    return scratch / "python"


def _configure(progress, compiler, source, build, prefix):
    progress.step("configuring CPython")
    flags = {}
    for name, library in (("ZLIB", "z"), ("BZIP2", "bz2"), ("LIBLZMA", "lzma"), ("LIBSQLITE3", "sqlite3")):
        flags |= {f"{name}_CFLAGS": f"-I{prefix}/include", f"{name}_LIBS": f"-l{library}"}
    output(["../python/configure", "-q", "--prefix=/usr", "--build=x86_64-pc-linux-gnu", "--host=wasm32-wasip1",
            f"--with-build-python={compiler.python}", "--disable-test-modules", "--without-ensurepip", "--disable-ipv6", "--with-pymalloc"],
           cwd=build, what="configuring CPython", env=compiler.environment(
               CC=" ".join(compiler.cc), CPP=" ".join([*compiler.cc, "-E"]), CXX="false", AR=compiler.ar, RANLIB=str(compiler.tools / "bin/llvm-ranlib"),
               CPPFLAGS=f"-I{prefix}/include", CFLAGS=f"-g0 -ffile-prefix-map={source.parent}=.",
               LDFLAGS=f"-L{prefix}/lib -L{compiler.tools}/guest/usr/lib/wasm32-wasi", CONFIG_SITE=str(source / "Tools/wasm/config.site-wasm32-wasi"),
               # Libraries of this host are not for the guest.
               PKG_CONFIG="false", PKG_CONFIG_LIBDIR="/nonexistent",
               # The libc has the functions' names only; every import would look for a shared library first.
               ac_cv_func_dlopen="no", **flags))


def _make(progress, compiler, source, build, scratch):
    progress.step("compiling CPython")
    output(["make", f"-j{_jobs()}", *_ARCHIVES], cwd=build, env=compiler.environment(), what="compiling CPython")
    setup = (build / "Modules/Setup.stdlib").read_text(encoding="utf-8")
    # Configure leaves out in silence what it cannot compile.
    for name in ("zlib", "_bz2", "_lzma", "_sqlite3", "_decimal", "pyexpat", "_datetime", "_json", "_pickle"):
        if f"\n{name} " not in setup:
            raise BuildError(f"CPython was configured without {name}")


def _jobs():
    return min(os.cpu_count() or 1, 8)
