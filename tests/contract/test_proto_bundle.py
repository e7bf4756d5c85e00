"""
What clients are generated from: it is whole, and the same whenever it is made.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.support.project_files import ROOT
from tests.support.proto_recipes import RECIPES, run_recipe

PROTO = ROOT / "proto"
pytestmark = pytest.mark.slow


def make(folder: Path) -> Path:
    """
    Write the bundle into *folder*; return its archive.
    """
    command = [sys.executable, str(PROTO / "bundle.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder.parent / "shipedge-webhooks-proto.tar.gz"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return the archive of the bundle.
    """
    return make(tmp_path_factory.mktemp("bundle") / "proto")


@pytest.fixture
def bundle(archive: Path, tmp_path: Path) -> Path:
    """
    Return the folder of a freshly unpacked bundle.
    """
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    return tmp_path / "shipedge-webhooks-proto"


def test_bundle_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    """
    The same protos make the same bytes, in another folder and at another time too.
    """
    assert make(tmp_path / "elsewhere").read_bytes() == archive.read_bytes()


def test_bundle_holds_the_published_contract(bundle: Path) -> None:
    """
    It has all public protos and what they import, the service config and the instructions; no
    proto that only the services use, and none that every compiler has.
    """
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    image = FileDescriptorSet.FromString((bundle / "shipedge-webhooks.binpb").read_bytes())
    described = {file.name for file in image.file}

    protos = {name for name in names if name.endswith(".proto")}
    assert protos == {name for name in described if not name.startswith("google/protobuf/")}
    ours = {path.relative_to(PROTO).as_posix() for path in PROTO.glob("shipedge/**/*.proto")}
    assert {name for name in ours if "/feed/" not in name} == ours & protos
    assert not any("feed" in name for name in names)
    assert "google/rpc/error_details.proto" in protos
    assert names - protos == {"README.md", "service_config.json", "shipedge-webhooks.binpb"}
    for name in protos & ours:
        assert (bundle / name).read_bytes() == (PROTO / name).read_bytes()


@pytest.mark.parametrize("language", ["Python", "C#", "Ruby", "PHP"])
def test_recipes_generate_every_file(language: str, bundle: Path) -> None:
    """
    The commands of the instructions generate the messages of every proto, with no two in one
    file, from the bundle alone.
    """
    out = run_recipe(language, bundle)

    protos = len(list(bundle.glob("shipedge/**/*.proto")))
    assert len(list(out.rglob(RECIPES[language].one_of_each))) == protos
