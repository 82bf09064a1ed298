"""Writes tests/oracles/archives/: archives as Python's zipfile and tarfile write them, and what is in them.

    python tests/oracles/make_archives.py        (Python 3.11, no packages)

They are also what `cargo xtask fuzz` starts from.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "archives"
OUT.mkdir(exist_ok=True)

FILES = {
    "picture.png": (HERE / "images/l8.png").read_bytes(),
    "folder/" + "long" * 40 + "/b.tif": (HERE / "images/l16.tif").read_bytes(),
    "\u00e4rzte/\u65e5.txt": b"text\n" * 300,
    "empty": b"",
}
expected = {}


def note(name, refused=()):
    members = {file: hashlib.sha256(content).hexdigest() for file, content in FILES.items()}
    expected[name] = {"members": members, "refused": sorted(refused)}


class Stream(io.RawIOBase):
    """What can't be rewound: zipfile then puts lengths behind the content."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)

    def close(self):
        self.file.close()
        super().close()


def zipped(name, method, target=None, **how):
    with zipfile.ZipFile(target or OUT / name, "w", method) as archive:
        archive.comment = b"made"
        archive.writestr(zipfile.ZipInfo("folder/"), b"")
        for file, content in FILES.items():
            info = zipfile.ZipInfo(file)
            info.compress_type = method
            with archive.open(info, "w", **how) as member:
                member.write(content)
        if name == "links.zip":
            info = zipfile.ZipInfo("link")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
            archive.writestr("../up", b"up")
    note(name, ["link", "../up"] if name == "links.zip" else [])


def tarred(name, kind, links=False):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=kind) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for file, content in FILES.items():
            info = tarfile.TarInfo(file)
            info.size, info.mtime = len(content), 1.5
            archive.addfile(info, io.BytesIO(content))
        for type_, link in [(tarfile.SYMTYPE, "../up"), (tarfile.LNKTYPE, "empty"), (tarfile.FIFOTYPE, "")] if links else []:
            info = tarfile.TarInfo(f"special{type_.decode()}")
            info.type, info.linkname = type_, link
            archive.addfile(info)
    note(name, ["special1", "special2", "special6"] if links else [])
    return whole.getvalue()


zipped("stored.zip", zipfile.ZIP_STORED)
zipped("deflated.zip", zipfile.ZIP_DEFLATED)
zipped("zip64.zip", zipfile.ZIP_DEFLATED, force_zip64=True)
zipped("streamed.zip", zipfile.ZIP_DEFLATED, Stream(OUT / "streamed.zip"))
zipped("links.zip", zipfile.ZIP_DEFLATED)
(OUT / "gnu.tar").write_bytes(tarred("gnu.tar", tarfile.GNU_FORMAT, links=True))
(OUT / "pax.tar").write_bytes(tarred("pax.tar", tarfile.PAX_FORMAT))
pax = tarred("one.tgz", tarfile.PAX_FORMAT)
(OUT / "one.tgz").write_bytes(gzip.compress(pax, mtime=0))
gnu = tarred("two.tgz", tarfile.GNU_FORMAT)
(OUT / "two.tgz").write_bytes(gzip.compress(gnu[:700], mtime=0) + gzip.compress(gnu[700:], mtime=0))
(OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
