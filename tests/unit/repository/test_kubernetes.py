"""deploy/kubernetes: valid by Kubernetes' own schema (tests/support/kubernetes_schema.json), and in step with the code.

The schema is the part of the one of `kubernetes-validate` 1.37.0 that the manifests use, without its comments.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery as celery_command
from jsonschema import Draft202012Validator

from config import queues
from config.metrics import BY_NAME
from config.secret_files import SECRETS
from config.settings import Settings
from config.variables import all_settings
from tests.support.paths import ROOT, SUPPORT
from workers.cli.program import main as trunkline
from workers.supervisor.launcher import WORKER_PATIENCE

FOLDER = ROOT / "deploy" / "kubernetes"
Manifest = dict[str, Any]


def _read(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


KUSTOMIZATION = _read("kustomization.yaml")[0]
MANIFESTS = [manifest for name in KUSTOMIZATION["resources"] for manifest in _read(name)]
PODS = {
    manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
    for manifest in MANIFESTS
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job")
}
CONTAINERS = {name: pod["containers"][0] for name, pod in PODS.items()}
OURS = set(PODS) - {"redis"}
SETTINGS = next(manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
EXAMPLES = {secret["metadata"]["name"]: secret["stringData"] for secret in _read("secrets.example.yaml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _one(kind: str, name: str) -> Manifest:
    [found] = [one for one in MANIFESTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads((SUPPORT / "kubernetes_schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_every_manifest_is_valid(validator: Draft202012Validator) -> None:
    for manifest in MANIFESTS + _read("secrets.example.yaml"):
        found = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(manifest)]
        assert found == [], manifest["metadata"]


def _misspelt(manifest: Manifest) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}


def _number_as_text(manifest: Manifest) -> None:
    manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = "60"


def _port_by_text(manifest: Manifest) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = "9464"


def _of_an_old_api(manifest: Manifest) -> None:
    manifest["apiVersion"] = "extensions/v1beta1"


def _without_selector(manifest: Manifest) -> None:
    del manifest["spec"]["selector"]


def _variable_that_is_a_number(manifest: Manifest) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = 9464


@pytest.mark.parametrize(
    "mistake",
    [_misspelt, _number_as_text, _port_by_text, _of_an_old_api, _without_selector, _variable_that_is_a_number],
)
def test_the_schema_finds_mistakes(validator: Draft202012Validator, mistake: Any) -> None:
    broken = copy.deepcopy(_one("Deployment", "worker"))
    mistake(broken)
    assert list(validator.iter_errors(broken))


def test_every_file_is_applied_but_the_example() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {*KUSTOMIZATION["resources"], "kustomization.yaml", "secrets.example.yaml"}
    assert KUSTOMIZATION["namespace"] == _read("namespace.yaml")[0]["metadata"]["name"]
    assert {"worker", "maintenance", "beat", "rpc", "flower", "redis", "init"} == set(PODS)


def test_selectors_find_their_pods() -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in MANIFESTS
        if "template" in one["spec" if "spec" in one else "metadata"]
    }
    for manifest in MANIFESTS:
        for selector in _selectors(manifest.get("spec", {})):
            assert any(selector.items() <= given.items() for given in labels.values()), manifest["metadata"]
    for service in (one for one in MANIFESTS if one["kind"] == "Service"):
        [container] = [CONTAINERS[service["spec"]["selector"]["app"]]]
        assert {port["targetPort"] for port in service["spec"]["ports"]} == {
            port["name"] for port in container["ports"]
        }
    assert all(labels[name].get("part-of") == "trunkline" for name in OURS), "Redis lets them in by it"


def _selectors(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if "matchLabels" in value:
            yield value["matchLabels"]
        elif isinstance(value.get("selector"), dict) and "matchLabels" not in value["selector"]:
            yield value["selector"]
        for part in value.values():
            yield from _selectors(part)
    elif isinstance(value, list):
        for part in value:
            yield from _selectors(part)


def test_every_container_is_confined() -> None:
    """What the namespace's `restricted` asks for, and a root that cannot be written."""
    for name, pod in PODS.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"] + pod.get("initContainers", []):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name
    [user] = re.findall(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert {PODS[name]["securityContext"]["runAsUser"] for name in OURS} == {int(user)}


def test_images_are_those_of_compose() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {CONTAINERS[name]["image"] for name in OURS} == {f"trunkline:{PROJECT['version']}"}
    assert CONTAINERS["redis"]["image"] == services["redis"]["image"]


def test_commands_are_those_of_compose_and_can_be_parsed() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in OURS:
        command = CONTAINERS[name]["command"]
        assert command == services[name]["command"], name
        if command[0] == "trunkline":
            trunkline.commands[command[1]].make_context(command[1], list(command[2:]))
        else:
            assert command[3] == "flower" or command[3] in celery_command.commands


def test_settings_exist_and_secrets_have_what_is_named() -> None:
    known = {*all_settings(Settings), *(f"{name}_FILE" for name in SECRETS), "CELERY_QUIET"}
    assert set(SETTINGS) <= known
    for name in OURS:
        assert CONTAINERS[name]["envFrom"] == [{"configMapRef": {"name": "trunkline"}}]
        given = SETTINGS | {one["name"]: one["value"] for one in CONTAINERS[name].get("env", [])}
        assert set(given) <= known
        mounted = {
            item["path"]
            for volume in PODS[name]["volumes"]
            if volume.get("secret", {}).get("secretName") == "trunkline"
            for item in volume["secret"]["items"]
        }
        assert mounted <= set(EXAMPLES["trunkline"])
        assert {value.removeprefix("/secrets/") for key, value in given.items() if key.endswith("_FILE")} == mounted
        plain = {key: value for key, value in given.items() if key in all_settings(Settings)}
        Settings.from_variables(**{key.removeprefix("TRUNKLINE_").lower(): value for key, value in plain.items()})


def test_the_keys_are_seen_only_by_those_who_sign() -> None:
    holders = {name for name, pod in PODS.items() if "trunkline-keys" in json.dumps(pod)}
    assert holders == {"init", "maintenance"}
    assert set(EXAMPLES["trunkline-keys"]) == {"identity.json", "faucet.json"}
    # They are copied with the mode that the identity insists on, to where Settings look for them.
    for name in holders:
        assert "install -m 0600 /mounted/*.json /data/" in PODS[name]["initContainers"][0]["command"]
        assert {"name": "data", "mountPath": "/data"} in CONTAINERS[name]["volumeMounts"]
    assert "TRUNKLINE_DATA_DIR=/data" in (ROOT / "Dockerfile").read_text()
    assert {"name": "TRUNKLINE_EXECUTE_ONLY", "value": "true"} in CONTAINERS["worker"]["env"]


def test_probes_are_our_health_checks_and_ask_the_right_process() -> None:
    for name in OURS - {"init"}:
        container = CONTAINERS[name]
        command = " ".join(container["livenessProbe"]["exec"]["command"])
        assert container["readinessProbe"]["exec"] == container["livenessProbe"]["exec"], name
        if name in ("worker", "maintenance"):
            node = container["command"][container["command"].index("--hostname") + 1].removesuffix("@%h")
            queue = container["command"][container["command"].index("--queues") + 1]
            assert command == f"sh -c python -m workers.container_health worker {node}@$HOSTNAME {queue}"
            assert queue in {known.name for known in queues.queue_objects()}
        else:
            asked = {"beat": "broker"}.get(name, name)
            assert command == f"python -m workers.container_health {asked}"


def test_a_pod_gets_longer_to_stop_than_its_tasks_get_to_end() -> None:
    for name in ("worker", "maintenance", "rpc"):
        assert PODS[name]["terminationGracePeriodSeconds"] > WORKER_PATIENCE


def test_there_is_never_a_second_beat() -> None:
    beat = _one("Deployment", "beat")["spec"]
    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


def test_workers_are_scaled_by_metrics_that_exist() -> None:
    scaling = _one("ScaledObject", "worker")["spec"]
    # Two would take the number from each other.
    assert "replicas" not in _one("Deployment", scaling["scaleTargetRef"]["name"])["spec"]
    assert scaling["minReplicaCount"] < scaling["maxReplicaCount"]
    queries = [trigger["metadata"]["query"] for trigger in scaling["triggers"]]
    named = set(re.findall(r"trunkline_\w+", " ".join(queries)))
    assert {re.sub("_(sum|count|bucket)$", "", name) for name in named} <= set(BY_NAME)
    assert "trunkline_oldest_queued_age_seconds" in named


def test_who_serves_metrics_is_found_by_prometheus() -> None:
    for name, pod in PODS.items():
        port = [one["value"] for one in CONTAINERS[name].get("env", []) if one["name"] == "TRUNKLINE_METRICS_PORT"]
        template = next(one for one in MANIFESTS if one["metadata"]["name"] == name and "template" in one["spec"])
        annotations = template["spec"]["template"]["metadata"].get("annotations", {})
        assert [annotations[key] for key in annotations if key.endswith("/port")] == port, (name, pod)


def test_redis_runs_with_the_options_of_compose() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    script = CONTAINERS["redis"]["command"][2].replace("\\\n", " ")
    for option in (part for part in services["redis"]["command"] if part.startswith("--")):
        value = services["redis"]["command"][services["redis"]["command"].index(option) + 1]
        plain = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) or '""'
        assert re.search(rf"{option}\s+{plain}(\s|$)", script), option
