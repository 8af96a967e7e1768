"""Manifests against the schemas of Kubernetes, and of the operators whose objects the chart makes (kinds/)."""

import functools
import json
from pathlib import Path

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

# The library reads a file of a megabyte for every manifest; once is enough.
utils.schema_contents = functools.cache(utils.schema_contents)

KINDS = Path(__file__).parent / "kinds"


@functools.cache
def _of_operator(kind: str) -> jsonschema.Draft202012Validator | None:
    path = KINDS / f"{kind}.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def fault(manifest: dict, kubernetes: str) -> str | None:
    """Why a cluster would refuse it, unknown fields included; a kind that nobody knows is refused, too."""
    operator = _of_operator(manifest["kind"])
    if operator:
        error = jsonschema.exceptions.best_match(operator.iter_errors(manifest))
        return error and f"{error.json_path}: {error.message}"
    try:
        kubernetes_validate.validate(manifest, kubernetes, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{error.json_path}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message
    return None
