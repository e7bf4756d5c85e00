"""
Generate the stubs and check the protos, offline.

`generate` writes the stubs and the service config, and `check` compares them. `lint` and
`breaking` run buf on a descriptor image that protoc builds. `publish` writes the image that
`breaking` compares with; what breaks the one before is only published with `--accept-breaking`.
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

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from service_config import service_config

PROTO = Path(__file__).resolve().parent
STUBS = PROTO / "python"
PUBLISHED = PROTO / "published.binpb"
SERVED = STUBS / "shipedge" / "webhooks" / "descriptors.binpb"
SERVICE_CONFIG = SERVED.with_name("service_config.json")
SITE = Path(sysconfig.get_path("purelib"))
BIN = Path(sys.executable).parent
ERROR_DETAILS = ("google/rpc/error_details.proto",)
INTERNAL = "shipedge/webhooks/feed/"
"""
What only the two services use: it is not published and may change at any time.
"""


def sources() -> list[str]:
    """
    List the protos, relative to this folder.
    """
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("shipedge/**/*.proto"))


def published_sources() -> list[str]:
    """
    List the protos that are published: all but the internal ones.
    """
    return [path for path in sources() if not path.startswith(INTERNAL)]


def protoc(*arguments: str, files: Sequence[str]) -> None:
    """
    Run protoc on *files*; the protos of Google come from an installed package.
    """
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
    Beside them stand the descriptors that the services serve by reflection, and the service
    config of what is published.
    """
    protoc(
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        files=sources(),
    )
    for path in stubs(target):
        proto = PROTO / f"{str(path.relative_to(target)).partition('_pb2')[0]}.proto"
        if "_pb2_grpc" in path.name and "\nservice " not in proto.read_text():
            path.unlink()
    write_image(target / SERVED.relative_to(STUBS), sources())
    write_service_config(target / SERVICE_CONFIG.relative_to(STUBS))


def stubs(folder: Path) -> Iterator[Path]:
    """
    Yield the generated modules in *folder*.
    """
    yield from sorted(folder.glob("shipedge/**/v1/*_pb2*.py*"))


def generated(folder: Path) -> set[Path]:
    """
    Return what `generate` has written into *folder*, relative to it.
    """
    beside = [folder / path.relative_to(STUBS) for path in (SERVED, SERVICE_CONFIG)]
    found = [*stubs(folder), *beside]
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


def write_image(target: Path, files: Sequence[str]) -> None:
    """
    Write the descriptors of *files*, of their imports and of the details of errors, with their
    comments, into *target*.
    """
    protoc(
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        files=[*ERROR_DETAILS, *files],
    )


def write_service_config(target: Path) -> None:
    """
    Write the service config of the published methods into *target*; their descriptors lie beside.
    """
    image = FileDescriptorSet.FromString(target.with_name(SERVED.name).read_bytes())
    published = [file for file in image.file if not file.name.startswith(INTERNAL)]
    target.write_text(service_config(FileDescriptorSet(file=published)))


def buf(verb: str, files: Sequence[str], *arguments: str) -> int:
    """
    Run buf on *files* as they are now; return its exit code.
    """
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        write_image(image, files)
        command = [str(BIN / "buf"), verb, str(image), *arguments, "--path", "shipedge"]
        return subprocess.run(
            [*command, "--config", str(PROTO / "buf.yaml")], check=False
        ).returncode


def breaking() -> int:
    """
    Compare the protos with the published contract; return the exit code of buf.
    """
    return buf("breaking", published_sources(), "--against", str(PUBLISHED))


def publish(*, accept_breaking: bool) -> int:
    """
    Write the published contract, if it breaks nobody or that is accepted; return the exit code.
    """
    if not accept_breaking and breaking():
        print("refused: this breaks clients of the published contract", file=sys.stderr)
        return 1
    write_image(PUBLISHED, published_sources())
    return 0


def main() -> int:
    """
    Run the verb of the command line; return the exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("generate", "check", "lint", "breaking", "publish"))
    parser.add_argument("--accept-breaking", action="store_true", help="publish in any case")
    options = parser.parse_args()
    verb = options.verb
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
        failed = publish(accept_breaking=options.accept_breaking)
    else:
        failed = breaking() if verb == "breaking" else buf(verb, sources())
    if not failed:
        print(f"proto {verb}: good")
    return failed


if __name__ == "__main__":
    sys.exit(main())
