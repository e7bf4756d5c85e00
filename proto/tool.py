"""
The tool of the contract: generates the stubs and judges the protos, all offline.

`generate` writes the stubs, `check` compares them, `lint` and `breaking` ask buf
about an image that protoc builds, `publish` renews the image that may not be broken.
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
    List the protos of the contract.
    """
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("shipedge/**/*.proto"))


def protoc(*arguments: str) -> None:
    """
    Run protoc over the contract; the protos of Google come with a package.
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
    Write the stubs of all protos into *target*, those of services only where there are any.
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
    Find the generated files in *folder*.
    """
    yield from sorted(folder.glob("shipedge/**/v1/*_pb2*.py*"))


def stale() -> list[str]:
    """
    List the stubs that are not what the protos would give.
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
    Write the descriptors of the contract and of what it imports.
    """
    comments = ["--include_source_info"] if with_comments else []
    protoc("--include_imports", *comments, f"--descriptor_set_out={target}")


def buf(verb: str, *arguments: str) -> int:
    """
    Have buf judge the protos as they are.
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
    Do what the command line asks for; return the exit code.
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
