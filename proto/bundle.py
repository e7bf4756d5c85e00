"""
Write what clients in any language are generated from: a folder, and an archive of it.

It holds the published protos, the protos of Google that they import and the details of errors, all
descriptors in one file, the service config and the instructions. Nobody needs this repository
or its tools to generate a client.
"""

from __future__ import annotations

import argparse
import gzip
import io
import shutil
import sys
import tarfile
from pathlib import Path

import tool
from google.protobuf.descriptor_pb2 import FileDescriptorSet

ARCHIVE = "shipedge-webhooks-proto"
DESCRIPTORS = "shipedge-webhooks.binpb"
COMPILERS_OWN = "google/protobuf/"
"""
What every protoc and buf brings along.
"""


def write(target: Path) -> None:
    """
    Write the bundle into the folder *target*, which is made anew.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    tool.write_image(target / DESCRIPTORS, tool.published_sources())
    for name in files(target / DESCRIPTORS):
        copy(tool.PROTO / name if name.startswith("shipedge/") else tool.SITE / name, target / name)
    for source in (tool.PROTO / "README.md", tool.SERVICE_CONFIG):
        copy(source, target / source.name)


def files(image: Path) -> list[str]:
    """
    List the protos that descriptors were made from, but those that compilers bring along.
    """
    described = FileDescriptorSet.FromString(image.read_bytes())
    return [it.name for it in described.file if not it.name.startswith(COMPILERS_OWN)]


def copy(source: Path, target: Path) -> None:
    """
    Copy the bytes of a file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def archive(folder: Path, target: Path) -> None:
    """
    Pack a folder; the same files make the same bytes, whenever and wherever.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(it for it in folder.rglob("*") if it.is_file()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"{ARCHIVE}/{path.relative_to(folder).as_posix()}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    target.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def main() -> int:
    """
    Write the bundle; return the exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made anew; the archive is written beside it")
    folder = parser.parse_args().folder.resolve()
    write(folder)
    packed = folder.parent / f"{ARCHIVE}.tar.gz"
    archive(folder, packed)
    print(f"written: {folder} and {packed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
