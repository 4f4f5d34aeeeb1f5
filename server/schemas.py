"""JSON schemas of tools as clients see them: derived from the pydantic models, without what only costs tokens.

An input schema keeps types, bounds, accepted values, defaults and descriptions. An output schema is shallow: it names the fields
and their types; the rows inside speak for themselves.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ..tools.contract import JobRequest, Report
from .structured import ALWAYS_SENT

Schema = dict[str, Any]

_JSON_TYPES = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", tuple: "array", dict: "object",
}  # fmt: skip


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
    fields = {
        name: field
        for name, field in report.model_fields.items()
        if name in ALWAYS_SENT or name not in Report.model_fields
    }
    return {
        "type": "object",
        "properties": {name: _shallow(name, field) for name, field in fields.items()},
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


def _shallow(name: str, field: FieldInfo) -> Schema:
    """Type and, where the model gives one, description of a field; no more.

    Read from the annotation: to generate whole schemas of all reports would cost a tenth of the server's start.
    """
    kind = _json_type(field.annotation)
    shallow: Schema = {"type": kind} if kind else {}
    if name not in ALWAYS_SENT and field.description:
        shallow["description"] = field.description
    return shallow


def _json_type(annotation: Any) -> str | None:
    """JSON's name of a type; of `X or None` that of X; None where anything goes."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _json_type(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        kinds = {_json_type(branch) for branch in get_args(annotation) if branch is not NoneType}
        return kinds.pop() if len(kinds) == 1 else None
    if origin is Literal:
        return _json_type(type(get_args(annotation)[0]))
    plain = origin or annotation
    return "object" if isinstance(plain, type) and issubclass(plain, BaseModel) else _JSON_TYPES.get(plain)
