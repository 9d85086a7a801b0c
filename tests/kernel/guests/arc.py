# Archives whose entries climb, link, lie about their names, or grow without end. Made inside, as a client could have sent them.
import errno, gzip, io, os, shutil, tarfile, zipfile


def tar(name, entries, **options):
    """A tar archive of entries: name, and what to change of an ordinary file."""
    with tarfile.open(name, "w", **options) as archive:
        for path, change in entries:
            info = tarfile.TarInfo(path)
            data = change.pop("data", b"planted")
            for key, value in change.items():
                setattr(info, key, value)
            if info.type == tarfile.REGTYPE:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                archive.addfile(info)
    return name


def archive(name, entries):
    """A zip archive: names exactly as they are given."""
    with zipfile.ZipFile(name, "w") as out:
        for path, mode, data in entries:
            info = zipfile.ZipInfo("x")
            info.filename = path
            info.external_attr = mode << 16
            out.writestr(info, data)
    return name


def make_all():
    link, hard, device, fifo = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
    up = "../" * 20
    made = [
        archive("slip.zip", [(up + "etc/passwd", 0o644, "planted"), ("/etc/passwd", 0o644, "planted"), ("C:\\x", 0o644, "x"), ("..\\..\\x", 0o644, "x")]),
        archive("twice.zip", [("a", 0o644, "1"), ("a", 0o644, "2"), ("A", 0o644, "3"), ("a/b", 0o644, "4")]),
        archive("link.zip", [("out", 0o120777, "/etc"), ("out/passwd", 0o644, "planted")]),
        tar("slip.tar", [(up + "etc/passwd", {}), ("/etc/passwd", {}), ("/etc/cron.d/x", {})]),
        tar("links.tar", [("out", {"type": link, "linkname": "/etc"}), ("out/passwd", {}), ("shadow", {"type": hard, "linkname": "/etc/passwd"}), ("up", {"type": link, "linkname": up}), ("loop", {"type": link, "linkname": "loop"})]),
        tar("nodes.tar", [("mem", {"type": device, "devmajor": 1, "devminor": 1}), ("pipe", {"type": fifo}), ("root", {"mode": 0o6755, "uid": 0, "gid": 0})]),
        tar("pax.tar", [("long/" + "n" * 200, {}), ("attributes", {"pax_headers": {"SCHILY.xattr.security.capability": "x", "path": up + "x", "size": "1"}})], format=tarfile.PAX_FORMAT),
    ]
    # A member whose size in its extended header is not that of its block: two readers see two lists of members.
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive_inside:
        archive_inside.addfile(tarfile.TarInfo("hidden"))
    made.append(tar("desync.tar", [("first", {"data": inner.getvalue(), "pax_headers": {"size": "0"}})], format=tarfile.PAX_FORMAT))
    return made


def clear():
    for name in os.listdir("."):
        shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)


def bomb():
    """A small file that is a gigabyte of zeros; the name of the error that ends their unpacking."""
    with gzip.open("bomb.gz", "wb", compresslevel=6) as out:
        for _ in range(64):
            out.write(bytes(1 << 20))
    try:
        with open("out", "wb", buffering=0) as out:
            for _ in range(16):
                with gzip.open("bomb.gz") as packed:
                    while data := packed.read(1 << 20):
                        if out.write(data) < len(data):
                            raise OSError(errno.ENOSPC, "short write")
        return "unpacked"
    except OSError as error:
        return errno.errorcode[error.errno]
