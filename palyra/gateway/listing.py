"""The models a key may name, in both dialects' shapes."""

import json
from urllib.parse import unquote

from palyra.gateway.errors import not_found
from palyra.gateway.ports import Key, Runner
from palyra.gateway.reply import DateLine, Reply
from palyra.providers.wires import ListedModel, Wire, model_body, models_body

AUTO = ListedModel(id="auto", owned_by="palyra")
"""Leaves the choice to the router; any key may ask for it."""


def listed(runner: Runner, key: Key) -> list[ListedModel]:
    return [AUTO, *(ListedModel(entry.id, entry.provider) for entry in runner.models_for(key.allowed_models))]


def list_models(runner: Runner, key: Key, wire: Wire, date: DateLine) -> Reply:
    return Reply(200, encoded(models_body(wire, listed(runner, key))), date)


def show_model(runner: Runner, key: Key, wire: Wire, raw_id: str, date: DateLine) -> Reply:
    """One model by its percent-encoded id. Raises RefusedError (404)."""
    wanted = unquote(raw_id)
    for model in listed(runner, key):
        if model.id == wanted:
            return Reply(200, encoded(model_body(wire, model)), date)
    raise not_found("model_not_found", "This key may use no model of that name. See /v1/models for those it may.")


def encoded(data: object) -> bytes:
    return json.dumps(data).encode("ascii")
