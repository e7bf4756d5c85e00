"""
What clients are generated from: it is whole, and the same whenever it is made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.support.project_files import ROOT
from tests.support.proto_recipes import RECIPES, make_archive, run_recipe, unpack

PROTO = ROOT / "proto"
pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return the archive of the bundle.
    """
    return make_archive(tmp_path_factory.mktemp("bundle") / "proto")


@pytest.fixture
def bundle(archive: Path, tmp_path: Path) -> Path:
    """
    Return the folder of a freshly unpacked bundle.
    """
    return unpack(archive, tmp_path)


def test_bundle_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    """
    The same protos make the same bytes, in another folder and at another time too.
    """
    assert make_archive(tmp_path / "elsewhere").read_bytes() == archive.read_bytes()


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


def test_recipe_of_buf_generates_every_file(bundle: Path) -> None:
    """
    The configuration for buf generates the same as the commands, where no plugin of others is
    needed.
    """
    block = re.search(r"```yaml\n(.*?)```", (bundle / "README.md").read_text(), re.DOTALL)
    assert block
    plugins = yaml.safe_load(block[1])["plugins"]
    config = {"version": "v2", "plugins": [it for it in plugins if "protoc_builtin" in it]}
    (bundle / "buf.gen.yaml").write_text(yaml.safe_dump(config))
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [programs / "buf", "generate", "--path", "shipedge"],
        cwd=bundle,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

    protos = len(list(bundle.glob("shipedge/**/*.proto")))
    for language in ("Java", "Python", "C#", "Ruby", "PHP"):
        recipe = RECIPES[language]
        assert len(list((bundle / recipe.out).rglob(recipe.one_of_each))) == protos, language


IMPORT_ALL = """
import importlib, pathlib, sys
out, *packages = sys.argv[1:]
sys.path[:0] = [out, *packages]
for path in sorted(pathlib.Path(out).rglob("*_pb2*.py")):
    name = ".".join(path.relative_to(out).with_suffix("").parts)
    assert importlib.import_module(name).__file__ == str(path)
from google.rpc import error_details_pb2
"""


def test_generated_python_is_imported(bundle: Path) -> None:
    """
    All generated modules are imported beside the libraries that the instructions name, without
    any module of this project.
    """
    out = run_recipe("Python", bundle)

    packages = sysconfig.get_path("purelib"), sysconfig.get_path("platlib")
    # Without `site`, the .pth files that name the project's own folders are not read.
    command = [sys.executable, "-I", "-S", "-c", IMPORT_ALL, str(out), *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
