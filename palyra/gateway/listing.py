"""The models a key may name, in both dialects' shapes."""

import json
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote

from palyra.core.values import value
from palyra.gateway.errors import invalid, not_found
from palyra.gateway.ports import Key, Runner
from palyra.gateway.reply import DateLine, Reply
from palyra.providers.wires import ListedModel, Wire, model_body, models_body

AUTO = ListedModel(id="auto", owned_by="palyra")
"""Leaves the choice to the router; any key may ask for it."""

MOST = 1_000
"""Models on one page of the Anthropic shape; the OpenAI shape has no pages."""


@value
class Page:
    """Which part of a listing is asked for: at most `limit` models after one id, or those just before another."""

    limit: int = MOST
    after: str = ""
    before: str = ""


def read_page(query: str) -> Page:
    """Members that mean nothing here are passed over. Raises RefusedError (400)."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    limit, after, before = given.get("limit"), given.get("after_id", ""), given.get("before_id", "")
    if limit is not None and not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MOST):
        raise invalid("invalid_field", f"limit must be a whole number from 1 to {MOST}.", param="limit")
    if after and before:
        raise invalid("invalid_field", "after_id and before_id exclude each other. Send one.", param="before_id")
    return Page(MOST if limit is None else int(limit), after, before)


def listed(runner: Runner, key: Key) -> list[ListedModel]:
    """The models a key may use, `auto` first."""
    return [
        AUTO,
        *(
            ListedModel(entry.id, entry.provider, entry.max_context, entry.max_output)
            for entry in runner.models_for(key.allowed_models)
        ),
    ]


def list_models(runner: Runner, key: Key, wire: Wire, query: str, date: DateLine) -> Reply:
    """Raises RefusedError (400) for a page that there is not."""
    models = listed(runner, key)
    if wire is not Wire.MESSAGES:
        return Reply(200, encoded(models_body(wire, models)), date)
    shown, more = turned_to(models, read_page(query))
    return Reply(200, encoded(models_body(wire, shown, more=more)), date)


def turned_to(models: Sequence[ListedModel], page: Page) -> tuple[Sequence[ListedModel], bool]:
    """The models of a page, and whether there are more in the direction it was turned to. Raises RefusedError (400)."""
    if page.before:
        end = _place(models, page.before, "before_id")
        start = max(0, end - page.limit)
        return models[start:end], start > 0
    start = _place(models, page.after, "after_id") + 1 if page.after else 0
    return models[start : start + page.limit], start + page.limit < len(models)


def _place(models: Sequence[ListedModel], model_id: str, param: str) -> int:
    for place, model in enumerate(models):
        if model.id == model_id:
            return place
    raise invalid("invalid_field", f"{param} must be the id of a model in this listing.", param=param)


def show_model(runner: Runner, key: Key, wire: Wire, raw_id: str, date: DateLine) -> Reply:
    """One model by its percent-encoded id. Raises RefusedError (404)."""
    wanted = unquote(raw_id)
    for model in listed(runner, key):
        if model.id == wanted:
            return Reply(200, encoded(model_body(wire, model)), date)
    raise not_found("model_not_found", "This key may use no model of that name. See /v1/models for those it may.")


def encoded(data: object) -> bytes:
    """JSON in ASCII."""
    return json.dumps(data).encode("ascii")
