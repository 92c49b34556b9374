"""Complete the OpenAPI document with what the code does not say: bodies, examples, problems."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from sightline import tasks
from sightline.deploy.server import forms
from sightline.deploy.server.problems import KINDS, MEDIA_TYPE, PREFIX, Document

ABOUT = (
    "Image recognition. Every error is application/problem+json (RFC 9457) with the limit that "
    "was met, if one was."
)

PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNkEIIAJiGKGACfigR+wbJOAwAAAABJ"
    "RU5ErkJggg=="
)
"""A PNG of 8 x 8 pixels, in base64."""

REF = "#/components/schemas/{}"
KEYS: list[dict[str, list[str]]] = [{"key": []}, {}]


def problems(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses for the problems that a route may have."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title = KINDS[kind]
        example = {"type": PREFIX + kind, "title": title, "status": status, "detail": "..."}
        content = {"schema": {"$ref": REF.format("Problem")}, "examples": {}}
        there = responses.setdefault(
            status, {"description": title, "content": {MEDIA_TYPE: content}}
        )["content"][MEDIA_TYPE]  # fmt: skip
        there["examples"][kind] = {"value": example}
    return responses


def _named(task: str, schema: str) -> str:
    """Return a schema name that is unique across tasks."""
    return f"{task.capitalize()}{schema}"


def _schemas(task: str) -> dict[str, Any]:
    """Return the schemas of a task's answers by their names."""
    schema = tasks.module("deploy", task).Answer.model_json_schema(
        ref_template=REF.format(_named(task, "{model}"))
    )
    parts = schema.pop("$defs", {}) | {"Answer": schema}
    return {
        _named(task, name): part | {"title": _named(task, name)} for name, part in parts.items()
    }


def _query() -> list[dict[str, Any]]:
    schema = forms.Asked.model_json_schema()["properties"]
    return [
        {
            "name": name, "in": "query", "required": False,
            "description": field.pop("description"), "schema": field,
        }
        for name, field in schema.items()
    ]  # fmt: skip


def _form() -> dict[str, Any]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    fields = forms.Asked.model_json_schema()["properties"]
    return {
        "type": "object", "required": [forms.FIELD], "additionalProperties": False,
        "properties": {forms.FIELD: files, **fields},
    }  # fmt: skip


def _encoded() -> dict[str, Any]:
    schema = forms.Encoded.model_json_schema()
    items = {"type": "string", "contentEncoding": "base64", "examples": [PICTURE]}
    schema["properties"][forms.FIELD]["items"] = items
    return schema


_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_RESULTS = {
    "type": "object", "required": ["model", "results"],
    "properties": {
        "model": {
            "type": "object", "required": ["name", "version"],
            "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
        },
        "results": {
            "type": "array", "description": "one an image, in their order",
            "items": {
                "anyOf": [
                    *({"$ref": REF.format(_named(task, "Answer"))} for task in tasks.names()),
                    {
                        "type": "object", "required": ["error"],
                        "properties": {"error": {"$ref": REF.format("Problem")}},
                    },
                ]
            },
        },
    },
}  # fmt: skip
_ANSWERED = {
    task: {
        "value": {
            "model": {"name": "mine", "version": "3f2a9c01"},
            "results": [dict(tasks.module("deploy", task).EXAMPLE)],
        }
    }
    for task in tasks.names()
}

_GUARDED = (
    "unauthorized", "method-not-allowed", "too-many-requests", "head-too-large", "failed",
)  # fmt: skip

PREDICT: dict[str, Any] = {
    "tags": ["models"],
    "responses": {
        200: {
            "description": "An answer for each image",
            "content": {"application/json": {"schema": _RESULTS, "examples": _ANSWERED}},
        },
        **problems(
            "bad-request", "unknown-model", "too-slow", "too-large", "unsupported-media-type",
            "bad-image", "bad-parameter", "busy", "unavailable", "timeout", *_GUARDED,
        ),
    },
    "openapi_extra": {
        "security": KEYS,
        "parameters": _query(),
        "requestBody": {
            "required": True,
            "content": {
                forms.MULTIPART: {
                    "schema": _form(), "encoding": {forms.FIELD: {"contentType": "image/*"}},
                },
                forms.JSON: {"schema": _encoded(), "example": {forms.FIELD: [PICTURE]}},
                "image/png": _IMAGE, "image/jpeg": _IMAGE, "application/octet-stream": _IMAGE,
            },
        },
    },
}  # fmt: skip


def _wanted() -> dict[str, Any]:
    """Return what can be asked of models that make pictures, of whatever task they are."""
    kinds = (getattr(tasks.module("deploy", task), "Wanted", None) for task in tasks.names())
    schemas = [kind.model_json_schema(by_alias=True) for kind in kinds if kind is not None]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


GENERATE: dict[str, Any] = {
    "tags": ["models"],
    "responses": {
        200: {
            "description": "The pictures",
            "content": {"application/json": {"schema": _RESULTS}},
        },
        **problems(
            "bad-request", "unknown-model", "too-slow", "too-large", "bad-parameter", "busy",
            "unavailable", "timeout", *_GUARDED,
        ),
    },
    "openapi_extra": {
        "security": KEYS,
        "requestBody": {
            "required": True,
            "content": {forms.JSON: {"schema": _wanted(), "example": {"n": 4, "seed": 0}}},
        },
    },
}  # fmt: skip

MODELS: dict[str, Any] = {
    "tags": ["models"], "responses": problems(*_GUARDED), "openapi_extra": {"security": KEYS},
}  # fmt: skip

NEIGHBOUR: dict[str, Any] = {
    "tags": ["models"],
    "responses": {
        200: {"description": "The image", "content": {"image/png": _IMAGE}},
        **problems("unknown-model", "no-neighbour", "bad-parameter", "unavailable", *_GUARDED),
    },
    "openapi_extra": {"security": KEYS},
}

HEALTH: dict[str, Any] = {"tags": ["server"], "responses": problems("method-not-allowed")}

READY: dict[str, Any] = {
    "tags": ["server"], "responses": problems("unavailable", "method-not-allowed"),
}  # fmt: skip

METRICS: dict[str, Any] = {
    "tags": ["server"],
    "responses": {
        200: {
            "description": "Counts and times",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems("unauthorized", "method-not-allowed"),
    },
    "openapi_extra": {"security": KEYS},
}


def describe(app: FastAPI) -> None:
    """Complete the OpenAPI document of an application."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description,
                routes=app.routes,
            )  # fmt: skip
            parts = made.setdefault("components", {})
            schemas = parts.setdefault("schemas", {})
            schema = Document.model_json_schema(ref_template=REF.format("{model}"))
            schemas[schema["title"]] = schema
            for task in tasks.names():
                schemas |= _schemas(task)
            parts["securitySchemes"] = {
                "key": {
                    "type": "http", "scheme": "bearer",
                    "description": "only where the server was started with --keys",
                }
            }  # fmt: skip
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
