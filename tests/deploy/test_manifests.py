"""Manifests, compose file and Tiltfile say what `tilt.yaml` says, and say it well formed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import starlark
import yaml
from yamllint import linter  # type: ignore[import-untyped]
from yamllint.config import YamlLintConfig  # type: ignore[import-untyped]

from libs.grpc_settings import grpc_settings
from libs.topology import Listed, load_topology

PRODUCTION = [listed for listed in load_topology().services if listed.production]
NAMES = {listed.name for listed in PRODUCTION}


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.yaml")):
        yield from (found for found in yaml.safe_load_all(file.read_text()) if found)


@pytest.fixture(scope="session")
def base(root: Path) -> list[dict[str, Any]]:
    return list(documents(root / "deploy" / "kubernetes" / "base"))


def workload(base: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [
        each for each in base if each["kind"] == "StatefulSet" and each["metadata"]["name"] == name
    ]
    return found


def container(base: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = workload(base, name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_every_listed_service_has_a_workload_and_nothing_else_has(
    base: list[dict[str, Any]],
) -> None:
    found = {each["metadata"]["name"] for each in base if each["kind"] == "StatefulSet"}
    assert found == NAMES


@pytest.mark.parametrize("listed", PRODUCTION, ids=lambda listed: listed.name)
def test_ports_resources_and_module_are_those_of_the_list(
    base: list[dict[str, Any]], listed: Listed
) -> None:
    told = container(base, listed.name)
    ports = {port["containerPort"] for port in told["ports"]}
    assert ports == {listed.port, *listed.extra_ports.values()}
    assert told["resources"]["limits"] == listed.resources.model_dump()
    if listed.module:
        assert told["args"] == [listed.module]


@pytest.mark.parametrize("listed", PRODUCTION, ids=lambda listed: listed.name)
def test_every_workload_is_probed_bounded_and_locked_down(
    base: list[dict[str, Any]], listed: Listed
) -> None:
    told = container(base, listed.name)
    pod = workload(base, listed.name)["spec"]["template"]["spec"]
    assert told["readinessProbe"]
    assert told["livenessProbe"]
    assert told["resources"]["requests"]
    assert told["securityContext"]["readOnlyRootFilesystem"] is True
    assert told["securityContext"]["allowPrivilegeEscalation"] is False
    assert told["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False


def test_every_document_fits_its_schema(base: list[dict[str, Any]]) -> None:
    for document in base:
        if document["kind"] != "Kustomization":
            kubernetes_validate.validate(document, "1.37", strict=True)


def test_a_wrong_manifest_would_be_noticed(base: list[dict[str, Any]]) -> None:
    wrong = yaml.safe_load(yaml.safe_dump(workload(base, "accounts")))
    wrong["spec"]["replicas"] = "3"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


def test_kustomize_names_every_file_of_the_base(root: Path) -> None:
    folder = root / "deploy" / "kubernetes" / "base"
    told = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    there = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(told) == there


def test_peers_are_told_where_the_list_puts_them(base: list[dict[str, Any]]) -> None:
    (settings,) = [each for each in base if each["kind"] == "ConfigMap"]
    for listed in PRODUCTION:
        for peer in listed.peers:
            port = load_topology().find(peer).port
            assert settings["data"][f"HEFU_{peer.upper()}"] == f"{peer}:{port}"


def test_compose_runs_the_services_on_their_ports(root: Path) -> None:
    told = yaml.safe_load((root / "deploy" / "compose" / "compose.yaml").read_text())["services"]
    ours = {listed.name for listed in PRODUCTION if listed.module} - {"eventstore"}
    assert ours <= told.keys()
    for name in ours:
        listed = load_topology().find(name)
        assert told[name]["command"] == [listed.module]
        assert told[name]["environment"]["HEFU_PORT"] == str(listed.port)
        bound = {port.split(":")[-1] for port in told[name]["ports"]}
        assert bound == {str(listed.port), *map(str, listed.extra_ports.values())}
    assert {"kurrentdb", "nats", "postgres"} <= told.keys()


def test_no_image_floats(root: Path) -> None:
    images = [
        line.split("image:")[1].strip()
        for file in (root / "deploy").rglob("*.yaml")
        for line in file.read_text().splitlines()
        if "image:" in line
    ]
    assert images
    for image in images:
        assert ":" in image
        assert not image.endswith(":latest")
    for line in (root / "deploy" / "Containerfile").read_text().splitlines():
        assert not line.startswith("FROM") or ":3.11." in line


def test_an_image_tells_grpc_what_the_supervisor_tells_it(root: Path) -> None:
    lines = (root / "deploy" / "Containerfile").read_text().splitlines()
    told = [line.split()[1:] for line in lines if line.startswith("ENV GRPC_")]
    assert told == [[f"{name}={value}" for name, value in grpc_settings().items()]]


def test_the_bus_is_durable_before_it_answers(root: Path) -> None:
    for place in ("compose", "kubernetes/base"):
        assert "sync_interval: always" in (root / "deploy" / place / "nats.conf").read_text()


def test_the_tiltfile_shows_the_services_of_the_list(root: Path) -> None:
    shown: dict[str, list[str]] = {}
    calls: list[str] = []
    module = starlark.Module()
    listed = yaml.safe_load((root / "tilt.yaml").read_text())
    module.add_callable("read_yaml", lambda path: listed if path == "../tilt.yaml" else None)
    module.add_callable("docker_build", lambda *_, **__: calls.append("docker_build"))
    module.add_callable("kustomize", lambda path: path)
    module.add_callable("k8s_yaml", lambda path: calls.append(f"k8s_yaml {path}"))
    module.add_callable(
        "k8s_resource",
        lambda name, port_forwards, **_: shown.update({name: port_forwards}),
    )
    dialect = starlark.Dialect.extended()
    dialect.enable_top_level_stmt = True
    source = (root / "deploy" / "Tiltfile").read_text()
    tree = starlark.parse("Tiltfile", source, dialect=dialect)
    starlark.eval(module, tree, starlark.Globals.extended_by([]))
    assert shown == {listed.name: [str(listed.port)] for listed in PRODUCTION}
    assert calls == ["docker_build", "k8s_yaml kubernetes/base"]


def test_every_yaml_file_is_well_formed(root: Path) -> None:
    config = YamlLintConfig(
        "{extends: default, rules: {line-length: {max: 130}, document-start: disable, "
        "braces: {max-spaces-inside: 1}, indentation: {indent-sequences: consistent}, "
        "comments: disable}}"
    )
    for file in [*(root / "deploy").rglob("*.yaml"), root / "tilt.yaml"]:
        problems = list(linter.run(file.read_text(), config, str(file)))
        assert not problems, f"{file}: {problems}"
