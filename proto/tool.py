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
from collections.abc import Iterator
from pathlib import Path

PROTO = Path(__file__).resolve().parent
STUBS = PROTO / "python"
PUBLISHED = PROTO / "published.binpb"
SITE = Path(sysconfig.get_path("purelib"))
BIN = Path(sys.executable).parent


def sources() -> list[str]:
    """
    List the protos of the contract, relative to this folder.
    """
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("shipedge/**/*.proto"))


def protoc(*arguments: str) -> None:
    """
    Run protoc on the contract; the protos of Google come from an installed package.
    """
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"-I{SITE}", *arguments, *sources()],
        cwd=PROTO,
        env=environment,
        check=True,
    )


def generate(target: Path) -> None:
    """
    Write the stubs of all protos into *target*; gRPC stubs only for protos with a service.
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


def stubs(folder: Path) -> Iterator[Path]:
    """
    Yield the generated files in *folder*.
    """
    yield from sorted(folder.glob("shipedge/**/v1/*_pb2*.py*"))


def stale() -> list[str]:
    """
    List the stubs that differ from newly generated ones.
    """
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(fresh)
        wanted = {path.relative_to(fresh) for path in stubs(fresh)}
        present = {path.relative_to(STUBS) for path in stubs(STUBS)}
        _, mismatch, errors = filecmp.cmpfiles(
            fresh, STUBS, [str(path) for path in wanted & present], shallow=False
        )
    return sorted([*mismatch, *errors, *(str(path) for path in wanted ^ present)])


def write_image(target: Path, *, with_comments: bool) -> None:
    """
    Write the descriptors of the contract and of its imports into *target*.
    """
    comments = ["--include_source_info"] if with_comments else []
    protoc("--include_imports", *comments, f"--descriptor_set_out={target}")


def buf(verb: str, *arguments: str) -> int:
    """
    Run buf on the current protos; return its exit code.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        write_image(image, with_comments=True)
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
        write_image(PUBLISHED, with_comments=False)
    else:
        failed = buf(verb, *(["--against", str(PUBLISHED)] if verb == "breaking" else []))
    if not failed:
        print(f"proto {verb}: good")
    return failed


if __name__ == "__main__":
    sys.exit(main())
