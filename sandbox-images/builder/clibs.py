"""The C libraries behind zlib, bz2, lzma and sqlite3, compiled for WASI from the sources that crates carry."""

from . import toolchain
from .run import BuildError

# The options of each library, and the files that belong to a program or a platform and not to it.
_BZIP2 = ("blocksort", "huffman", "crctable", "randtable", "compress", "decompress", "bzlib")
_ZLIB = ("adler32", "compress", "crc32", "deflate", "infback", "inffast", "inflate", "inftrees", "trees", "uncompr", "zutil")
_LZMA_FOLDERS = ("common", "lzma", "lz", "check", "delta", "rangecoder", "simple")
_LZMA_LEFT_OUT = ("crc32_small", "crc64_small", "stream_encoder_mt", "outqueue", "hardware_cputhreads", "hardware_physmem")
_LZMA_OPTIONS = [
    "-DHAVE_STDINT_H", "-DHAVE_STDBOOL_H", "-DHAVE_STRING_H", "-DNDEBUG",
    *(f"-DHAVE_{side}_{kind}" for side in ("DECODER", "ENCODER")
      for kind in ("LZ", "LZMA1", "LZMA2", "DELTA", "X86", "ARM", "ARMTHUMB", "POWERPC", "IA64", "SPARC")),
    *(f"-DHAVE_CHECK_{kind}" for kind in ("CRC32", "CRC64", "SHA256")), *(f"-DHAVE_MF_{kind}" for kind in ("BT2", "BT3", "BT4", "HC3", "HC4")),
    # Single-threaded, it would block signals; WASI has neither masks nor signals that could arrive.
    "-D_WASI_EMULATED_SIGNAL", "-Dsigset_t=unsigned", "-Dsigprocmask(how,set,old)=0",
]
_SQLITE_OPTIONS = [
    "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", "-DSQLITE_ENABLE_FTS5", "-DSQLITE_ENABLE_RTREE",
    "-DSQLITE_ENABLE_MATH_FUNCTIONS",
    # WASI has no shared memory, no locks and no mmap. A file of a session has one user.
    "-DSQLITE_OMIT_WAL", "-DSQLITE_MAX_MMAP_SIZE=0", '-DSQLITE_DEFAULT_UNIX_VFS="unix-none"', "-DSQLITE_TEMP_STORE=2",
    "-D_WASI_EMULATED_MMAN", "-D_WASI_EMULATED_GETPID",
]


def compile_all(compiler, crates, prefix):
    """Fills `prefix`/include and `prefix`/lib. `crates`: those of the toolchain; `compiler`: see cpython.Compiler."""
    folder = {crate.name: toolchain.crate_folder(crate) for crate in crates}
    zlib, bzip2 = folder["libz-sys"] / "src/zlib", _one(folder["bzip2-sys"], "bzip2-*")
    lzma = _one(folder["lzma-sys"], "xz-*") / "src"
    sqlite = folder["libsqlite3-sys"] / "sqlite3"
    compiler.archive(prefix, "z", [zlib / f"{name}.c" for name in _ZLIB], ["-DHAVE_UNISTD_H"], [zlib / "zlib.h", zlib / "zconf.h"])
    compiler.archive(prefix, "bz2", [bzip2 / f"{name}.c" for name in _BZIP2], ["-DBZ_NO_STDIO"], [bzip2 / "bzlib.h"])
    compiler.archive(prefix, "lzma", sorted(path for name in _LZMA_FOLDERS for path in (lzma / "liblzma" / name).glob("*.c")
                                            if path.stem not in _LZMA_LEFT_OUT and not path.stem.endswith("tablegen")),
                     [*_LZMA_OPTIONS, f"-I{lzma}/common", *(f"-I{lzma}/liblzma/{name}" for name in ("api", *_LZMA_FOLDERS))],
                     [lzma / "liblzma/api/lzma.h", lzma / "liblzma/api/lzma"])
    compiler.archive(prefix, "sqlite3", [sqlite / "sqlite3.c"], _SQLITE_OPTIONS, [sqlite / "sqlite3.h"])


def _one(folder, pattern):
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise BuildError(f"{folder} should have one {pattern}, and has {len(found)}; the crate has changed")
    return found[0]
