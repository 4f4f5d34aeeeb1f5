"""JSON schemas of tools as clients see them: derived from the pydantic models, without what only costs tokens.

An input schema keeps types, bounds, accepted values, defaults and descriptions. An output schema is shallow: it names the fields
and their types; the rows inside speak for themselves.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel

from ..tools.contract import JobRequest, Report
from .structured import ALWAYS_SENT

Schema = dict[str, Any]


def input_schema(request: type[BaseModel]) -> Schema:
    """Return the schema of a tool's arguments: flat, with definitions put where they are used."""
    schema = request.model_json_schema()
    properties = {name: _compact(field, schema.get("$defs", {})) for name, field in schema["properties"].items()}
    for name in [name for name, field in properties.items() if field.get("type") == "null"]:
        # An argument that may only be left out need not be offered.
        del properties[name]
    compact: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    # What the tool is about comes before what all of them share.
    compact["properties"] = dict(sorted(properties.items(), key=lambda item: item[0] in JobRequest.model_fields))
    if required := schema.get("required"):
        compact["required"] = required
    return compact


def output_schema(report: type[Report]) -> Schema:
    """Return the shallow schema of a report as `tool_result` sends it: empty fields are left out, so none is null.

    Of the fields that every report has only those are listed that are always there.
    """
    schema = report.model_json_schema(mode="serialization")
    definitions = schema.get("$defs", {})
    own = [name for name in schema["properties"] if name in ALWAYS_SENT or name not in Report.model_fields]
    return {
        "type": "object",
        "properties": {name: _shallow(name, schema["properties"][name], definitions) for name in own},
        "required": list(ALWAYS_SENT),
    }


def _compact(node: Any, definitions: Schema) -> Any:
    """Drop titles, resolve references, and write `X or null` as X: to leave an argument out says the same, and some clients know
    no null in a schema. The server still takes a null."""
    if isinstance(node, list):
        return [_compact(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        node = {**definitions[str(reference).rpartition("/")[2]], **{k: v for k, v in node.items() if k != "$ref"}}
    compact: Schema = {}
    for key, value in node.items():
        if key == "title" or (key == "default" and value is None):
            continue
        if key == "properties":
            compact[key] = {name: _compact(field, definitions) for name, field in value.items()}
        else:
            compact[key] = _compact(value, definitions)
    branches = cast("list[Schema]", compact.get("anyOf", []))
    if len(branches) == 2 and {"type": "null"} in branches:
        other = next(branch for branch in branches if branch != {"type": "null"})
        del compact["anyOf"]
        compact.update(other)
    return compact


def _shallow(name: str, node: Schema, definitions: Schema) -> Schema:
    """Type and, where the model gives one, description of a field; no more."""
    shallow: Schema = {}
    branches: list[Schema] = node.get("anyOf") or [node]
    branch = next((branch for branch in branches if branch.get("type") != "null"), node)
    if reference := branch.get("$ref"):
        branch = definitions[str(reference).rpartition("/")[2]]
    if kind := branch.get("type"):
        shallow["type"] = kind
    if name not in ALWAYS_SENT and (description := node.get("description")):
        shallow["description"] = description
    return shallow
