"""The chart, rendered by Helm's own code (its SDK for Go, as a library): no helm, no cluster, no network."""

import copy
from pathlib import Path

import helm_python
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "indelible"
# The oldest that Chart.yaml takes, and the newest that there are schemas of.
KUBERNETES = ("1.30", "1.37")


def value_sets() -> dict[str, dict]:
    """The value sets of ci/, by name."""
    return {
        path.name.removesuffix("-values.yaml"): yaml.safe_load(path.read_text())
        for path in sorted((CHART / "ci").glob("*-values.yaml"))
    }


def merged(values: dict, changes: dict) -> dict:
    """`values` with `changes` over them, as Helm does it: objects are merged, all else is replaced."""
    result = copy.deepcopy(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def rendered(values: dict, chart: Path = CHART, release: str = "rel") -> list[dict]:
    """The manifests of `helm template`, the test's pod among them.

    Raises helm_python.HelmError where the schema or a check of the chart refuses the values.
    """
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        texts = loaded.render(values, name=release, namespace="metering")
    return [
        manifest
        for path, text in sorted(texts.items())
        if not path.endswith(".txt")
        for manifest in yaml.load_all(text, Loader=Strict)
        if manifest is not None
    ]


class Strict(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Refuses a key that comes twice, which YAML forbids and PyYAML takes."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{sorted(twice)} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def of_kind(manifests: list[dict], *kinds: str) -> list[dict]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def pods(manifests: list[dict]) -> list[tuple[str, dict]]:
    """Every pod that the manifests make: what it is called, and its {metadata, spec}."""
    found = [(named(pod), pod) for pod in of_kind(manifests, "Pod")]
    makers = of_kind(manifests, "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
    return found + [(named(maker), maker["spec"]["template"]) for maker in makers]


def container(manifests: list[dict], role: str = "") -> dict:
    """The container of the Deployment of a role; of the first one where none is named."""
    found = [d for d in of_kind(manifests, "Deployment") if d["metadata"]["name"].endswith(role)]
    (only,) = found[0]["spec"]["template"]["spec"]["containers"]
    return only


def named(manifest: dict) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def environment(container: dict) -> dict[str, str | None]:
    """Variable to value; None where it comes from somewhere else."""
    return {entry["name"]: entry.get("value") for entry in container.get("env", [])}
