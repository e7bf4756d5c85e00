"""
A TypeScript client is generated and compiled from the bundle alone, and Node.js loads the protos
without generated code.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.clients.expected import assert_went_well
from tests.clients.programs import EXAMPLES, Services, download, need, run, workshop
from tests.support.proto_recipes import run_recipe

COMPILER_OPTIONS = {
    "strict": True,
    "module": "commonjs",
    "target": "es2022",
    "esModuleInterop": True,
    "skipLibCheck": True,
    "types": ["node"],
}

LOAD = """
const fs = require('fs'), grpc = require('@grpc/grpc-js'), loader = require('@grpc/proto-loader');
const files = fs.readdirSync('shipedge', { recursive: true });
const protos = files.filter((it) => it.endsWith('.proto'));
const options = { includeDirs: ['.'], keepCase: true, longs: String, enums: String, oneofs: true };
const loaded = [
  loader.loadSync(protos.map((it) => `shipedge/${it}`), options),
  loader.loadFileDescriptorSetFromBuffer(fs.readFileSync('shipedge-webhooks.binpb'), options),
];
const services = loaded.map((it) => {
  const all = grpc.loadPackageDefinition(it).shipedge.webhooks;
  return [all.config.v1, all.dispatch.v1].flatMap((v1) =>
    Object.entries(v1).filter(([, them]) => them.service).map(([name]) => name).sort());
});
console.log(JSON.stringify(services));
"""

SERVICES = [
    "ConfigAdminService",
    "ConfigService",
    "DeliveryService",
    "DispatchAdminService",
    "PayloadService",
    "PublisherService",
]


@pytest.fixture(scope="module")
def project(bundle: Path) -> Path:
    """
    Return an unpacked bundle with the packages that the instructions name.
    """
    need("node", "npm")
    programs = workshop("node")
    download("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=programs)
    (bundle / "node_modules").symlink_to(programs / "node_modules")
    return bundle


@pytest.fixture(scope="module")
def generated(project: Path) -> Path:
    """
    Generate the client; return the folder with it.
    """
    return run_recipe("TypeScript and Node.js", project)


def test_typescript_compiles(project: Path, generated: Path) -> None:
    """
    All modules compile in strict mode, those of the details of errors included.
    """
    out = generated
    settings = {
        "compilerOptions": {**COMPILER_OPTIONS, "noEmit": True},
        "include": [str(out)],
    }
    (project / "tsconfig.json").write_text(json.dumps(settings))

    run(project / "node_modules/.bin/tsc", "-p", ".", folder=project)

    assert (out / "google/rpc/error_details.ts").is_file()
    assert len(list(out.glob("shipedge/**/*.ts"))) == len(list(project.glob("shipedge/**/*.proto")))


def test_node_loads_the_protos(project: Path) -> None:
    """
    proto-loader finds all services, in the protos and in the descriptors.
    """
    assert json.loads(run("node", "-e", LOAD, folder=project)) == [SERVICES, SERVICES]


@pytest.mark.anyio
async def test_example_runs(project: Path, generated: Path, services: Services) -> None:
    """
    The program of `clients/typescript` compiles in strict mode, and does what it says, against a
    running pair.
    """
    folder = project / "example"
    shutil.copytree(EXAMPLES / "typescript", folder)
    (folder / "generated").symlink_to(generated)
    settings = {
        "compilerOptions": {**COMPILER_OPTIONS, "outDir": "made", "preserveSymlinks": True},
        "include": ["example.ts"],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    run(project / "node_modules/.bin/tsc", "-p", ".", folder=folder)

    assert_went_well(await services.run("node", "made/example.js", folder=folder))
