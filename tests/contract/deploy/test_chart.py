"""
The Helm chart: rendered by helm, checked against the schemas of Kubernetes, and in agreement
with the settings of the services. `make chart` installs what this needs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import config_service.settings
import dispatch_service.settings
from service_runtime.process.bootstrap import SERVICE_ACCOUNT
from service_runtime.rpc.health import LIVENESS
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.reading import names
from tests.support.project_files import ROOT

CHART = ROOT / "deploy/chart"
TOOLS = ROOT / "build/chart/bin"
KINDS: dict[str, type[CommonSettings]] = {
    "config": config_service.settings.Settings,
    "dispatch": dispatch_service.settings.Settings,
}
GIVEN = ("image.repository=webhooks", "image.tag=v1", "callers=dispatch=feed")
ROLLING = ("upgrade=rolling", "dispatch.autoscaling.enabled=true")
VARIANTS = pytest.mark.parametrize("more", [(), ROLLING], ids=["stop", "rolling"])
VERSIONS = ("1.27", "1.37")
DRAIN = timedelta(seconds=15)
"""
Ten seconds for the last reports, and five in which the pod leaves its service.
"""


def tool(name: str) -> str:
    """
    Return the path of a program; skip the test where it is not installed.
    """
    found = shutil.which(name, path=str(TOOLS)) or shutil.which(name)
    if found is None:
        pytest.skip(f"NOT RUN: {name} is not installed: make chart")
    return found


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run helm with what must be given.
    """
    given = [part for value in GIVEN for part in ("--set", value)]
    return subprocess.run(
        [tool("helm"), *arguments, *given], check=False, capture_output=True, text=True
    )


@cache
def rendered(more: tuple[str, ...] = ()) -> str:
    """
    Render the chart with *more* values.
    """
    values = [part for value in more for part in ("--set", value)]
    done = helm("template", "release", str(CHART), "--kube-version", "1.30.0", *values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def resources(kind: str, more: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """
    Return the resources of a kind by their names.
    """
    found = yaml.safe_load_all(rendered(more))
    return {it["metadata"]["name"]: it for it in found if it and it["kind"] == kind}


def pod(service: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Return the pod that a deployment starts.
    """
    found: dict[str, Any] = resources("Deployment", more)[f"release-{service}"]["spec"]["template"]
    return found


def test_chart_has_no_mistake() -> None:
    """
    helm's linter finds nothing to complain of.
    """
    done = helm("lint", "--strict", str(CHART))

    assert done.returncode == 0, done.stdout


@VARIANTS
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_resources(
    more: tuple[str, ...], version: str, tmp_path: Path
) -> None:
    """
    Every resource fits the schema of the oldest version that is supported, and of a new one.
    """
    path = tmp_path / "rendered.yaml"
    path.write_text(rendered(more))
    command = [tool("kubernetes-validate"), "--strict", "-k", version, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("wrong", ["upgrade=some", "dispatch.replica=3", "settings.OTHER=1"])
def test_wrong_values_are_refused(wrong: str) -> None:
    """
    A value that is misspelt or not allowed is an error, not ignored.
    """
    done = helm("template", "release", str(CHART), "--kube-version", "1.30.0", "--set", wrong)

    assert done.returncode != 0
    assert "schema" in done.stderr


@VARIANTS
@pytest.mark.parametrize("service", KINDS)
def test_chart_uses_settings_that_exist(service: str, more: tuple[str, ...]) -> None:
    """
    All variables are settings of the service, and none that production requires is missing.
    """
    (container,) = pod(service, more)["spec"]["containers"]
    given = {it["name"]: it["value"] for it in container["env"]}

    assert set(given) <= set(names(KINDS[service]))
    required = {"SHIPEDGE_CALLERS", "SHIPEDGE_ENCRYPTION_KEYS_FILE", "SHIPEDGE_HASH_KEY_FILE"}
    required |= {f"SHIPEDGE_TLS_{part}_FILE" for part in ("CERTIFICATE", "KEY", "CA")}
    required.add(f"SHIPEDGE_{service.upper()}_DATABASE_URL_FILE")
    assert required <= set(given)
    mounts = {it["mountPath"] for it in container["volumeMounts"]}
    assert all(
        any(value.startswith(f"{it}/") for it in mounts)
        for name, value in given.items()
        if name.endswith("_FILE")
    )


@pytest.mark.parametrize("service", KINDS)
def test_pods_have_time_to_drain(service: str) -> None:
    """
    A pod is killed only after its grace, the deadline of an attempt and what comes beside.
    """
    fields = KINDS[service].model_fields
    needed = fields["grace"].get_default() + DRAIN
    needed += fields["deadline"].get_default() if "deadline" in fields else timedelta()
    spec = pod(service)["spec"]

    assert timedelta(seconds=spec["terminationGracePeriodSeconds"]) > needed
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


@pytest.mark.parametrize("service", KINDS)
def test_probes_ask_the_listener_without_tls(service: str) -> None:
    """
    Readiness asks for the whole service, liveness for the process alone: a restart repairs no
    database.
    """
    (container,) = pod(service)["spec"]["containers"]
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}
    (listen,) = (it["value"] for it in container["env"] if "OPERATORS_LISTEN" in it["name"])

    assert listen == f"0.0.0.0:{ports['operators']}"
    assert container["readinessProbe"]["grpc"] == {"port": ports["operators"]}
    for probe in ("livenessProbe", "startupProbe"):
        assert container[probe]["grpc"] == {"port": ports["operators"], "service": LIVENESS}


@VARIANTS
@pytest.mark.parametrize("service", KINDS)
def test_pods_have_few_rights_and_secrets_by_reference(service: str, more: tuple[str, ...]) -> None:
    """
    A pod runs as the account of the image, cannot write to its files or become another account,
    and names secrets without having their values.
    """
    spec = pod(service, more)["spec"]
    assert spec["securityContext"]["runAsUser"] == SERVICE_ACCOUNT
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        rights = container["securityContext"]
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert not rights["allowPrivilegeEscalation"]
    secrets = [it["secret"] for it in spec["volumes"] if "secret" in it]
    assert {it["defaultMode"] for it in secrets} == {0o440}
    assert len(secrets) == 2
    assert "kind: Secret" not in rendered(more)


@pytest.mark.parametrize("service", KINDS)
def test_two_versions_meet_only_if_asked_for(service: str) -> None:
    """
    By default all pods end before new ones migrate; with `rolling` a job expands the database,
    and no pod ends before another one is ready.
    """
    stopped = resources("Deployment")[f"release-{service}"]["spec"]
    assert stopped["strategy"] == {"type": "Recreate"}
    (migrate,) = stopped["template"]["spec"]["initContainers"]
    assert migrate["command"] == ["python", "-m", f"{service}_service", "migrate"]
    assert resources("Job") == {}

    rolled = resources("Deployment", ROLLING)[f"release-{service}"]["spec"]
    assert rolled["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "initContainers" not in rolled["template"]["spec"]
    job = resources("Job", ROLLING)[f"release-{service}-migrate"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (expand,) = job["spec"]["template"]["spec"]["containers"]
    assert expand["command"] == [*migrate["command"], "--expand"]


@pytest.mark.parametrize("service", KINDS)
def test_services_and_budgets_select_pods_that_serve(service: str) -> None:
    """
    The selectors fit the pods of the deployment and not those of the job.
    """
    served = pod(service, ROLLING)["metadata"]["labels"]
    job = resources("Job", ROLLING)[f"release-{service}-migrate"]
    migrating = job["spec"]["template"]["metadata"]["labels"]
    budget = resources("PodDisruptionBudget", ROLLING)[f"release-{service}"]["spec"]
    headless = resources("Service", ROLLING)[f"release-{service}"]["spec"]

    assert budget["maxUnavailable"] == 1
    assert headless["clusterIP"] == "None"
    for selector in (budget["selector"]["matchLabels"], headless["selector"]):
        assert selector.items() <= served.items()
        assert not selector.items() <= migrating.items()
    policy = resources("NetworkPolicy", ROLLING)[f"release-{service}"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= migrating.items()


def test_policies_keep_deliveries_from_private_addresses() -> None:
    """
    The dispatch service reaches public addresses; the config service only names and database.
    Nobody reaches a listener for operators or metrics unless named.
    """
    policies = resources("NetworkPolicy")
    dispatch = policies["release-dispatch"]["spec"]
    blocks = [it["ipBlock"] for rule in dispatch["egress"] for it in rule.get("to", ())]

    assert {it["cidr"] for it in blocks} == {"0.0.0.0/0", "::/0"}
    assert all(it["except"] for it in blocks)
    assert "169.254.0.0/16" in json.dumps(blocks)
    assert "ipBlock" not in json.dumps(policies["release-config"])
    assert dispatch["ingress"] is None
    (rule,) = policies["release-config"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 50051}]


def test_replicas_are_scaled_by_one_of_both() -> None:
    """
    With autoscaling the deployment has no number of replicas, which would undo the scaler's.
    """
    (scaler,) = resources("HorizontalPodAutoscaler", ROLLING).values()

    assert scaler["spec"]["minReplicas"] == 2
    assert "replicas" not in resources("Deployment", ROLLING)["release-dispatch"]["spec"]
    assert resources("Deployment")["release-dispatch"]["spec"]["replicas"] == 2
    assert resources("HorizontalPodAutoscaler") == {}
