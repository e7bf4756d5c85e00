"""
Generate the stubs and check the protos, offline.

`generate` writes the stubs and `check` compares them. `lint` and `breaking` run buf on a
descriptor image that protoc builds. `publish` writes the image that `breaking` compares with.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PROTO = Path(__file__).resolve().parent
STUBS = PROTO / "python"
PUBLISHED = PROTO / "published.binpb"
SERVED = STUBS / "shipedge" / "webhooks" / "descriptors.binpb"
SITE = Path(sysconfig.get_path("purelib"))
BIN = Path(sys.executable).parent
ERROR_DETAILS = ("google/rpc/error_details.proto",)


def sources() -> list[str]:
    """
    List the protos of the contract, relative to this folder.
    """
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("shipedge/**/*.proto"))


def protoc(*arguments: str, roots: Sequence[str] = ()) -> None:
    """
    Run protoc on the contract and on *roots*; the protos of Google come from an installed
    package.
    """
    files = [*roots, *sources()]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"-I{SITE}", *arguments, *files],
        cwd=PROTO,
        env=environment,
        check=True,
    )


def generate(target: Path) -> None:
    """
    Write the stubs of all protos into *target*; gRPC stubs only for protos with a service.
    Beside them stand the descriptors that the services serve by reflection.
    """
    protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
    )
    for path in stubs(target):
        proto = PROTO / f"{str(path.relative_to(target)).partition('_pb2')[0]}.proto"
        if "_pb2_grpc" in path.name and "\nservice " not in proto.read_text():
            path.unlink()
    write_image(target / SERVED.relative_to(STUBS))


def stubs(folder: Path) -> Iterator[Path]:
    """
    Yield the generated modules in *folder*.
    """
    yield from sorted(folder.glob("shipedge/**/v1/*_pb2*.py*"))


def generated(folder: Path) -> set[Path]:
    """
    Return what `generate` has written into *folder*, relative to it.
    """
    found = [*stubs(folder), folder / SERVED.relative_to(STUBS)]
    return {path.relative_to(folder) for path in found if path.exists()}


def stale() -> list[str]:
    """
    List the stubs that differ from newly generated ones.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted, present = generated(fresh), generated(STUBS)
        _, mismatch, errors = filecmp.cmpfiles(
            fresh, STUBS, [str(path) for path in wanted & present], shallow=False
        )
    return sorted([*mismatch, *errors, *(str(path) for path in wanted ^ present)])


def write_image(target: Path) -> None:
    """
    Write the descriptors of the contract, of its imports and of the details of errors, with
    their comments, into *target*.
    """
    protoc(
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        roots=ERROR_DETAILS,
    )


def buf(verb: str, *arguments: str) -> int:
    """
    Run buf on the current protos; return its exit code.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        write_image(image)
        command = [str(BIN / "buf"), verb, str(image), *arguments, "--path", "shipedge"]
        return subprocess.run(
            [*command, "--config", str(PROTO / "buf.yaml")], check=False
        ).returncode


def main() -> int:
    """
    Run the verb of the command line; return the exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("generate", "check", "lint", "breaking", "publish"))
    verb = parser.parse_args().verb
    failed = 0
    if verb == "generate":
        for path in stubs(STUBS):
            path.unlink()
        generate(STUBS)
    elif verb == "check":
        for name in (found := stale()):
            print(f"stale: {name} (make proto)", file=sys.stderr)
        failed = int(bool(found))
    elif verb == "publish":
        write_image(PUBLISHED)
    else:
        failed = buf(verb, *(["--against", str(PUBLISHED)] if verb == "breaking" else []))
    if not failed:
        print(f"proto {verb}: good")
    return failed


if __name__ == "__main__":
    sys.exit(main())
