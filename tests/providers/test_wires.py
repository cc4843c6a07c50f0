"""Headers that travel, lists of models and errors in both dialects."""

import pytest
from multidict import CIMultiDict

from palyra.providers.wires import (
    ListedModel,
    Wire,
    crossing_headers,
    error_body,
    models_body,
    no_stream,
    passed_headers,
)

CALLER = CIMultiDict(
    {
        "Content-Type": "application/json; charset=utf-8",
        "Accept": "text/event-stream",
        "OpenAI-Beta": "assistants=v2",
        "Anthropic-Beta": "prompt-caching",
        "Authorization": "Bearer plk_x",
        "X-Api-Key": "plk_x",
        "Cookie": "a=b",
        "Host": "127.0.0.1",
        "X-Palyra-Tags": "team=red",
        "X-Forwarded-For": "10.0.0.1",
        "X-Stainless-Lang": "python",
        "User-Agent": "OpenAI/Python",
    }
)


def test_only_named_headers_travel() -> None:
    assert passed_headers(CALLER, Wire.CHAT) == {
        "content-type": "application/json; charset=utf-8",
        "accept": "text/event-stream",
        "openai-beta": "assistants=v2",
        "anthropic-beta": "prompt-caching",
    }


def test_headers_of_one_wire_do_not_cross_to_another() -> None:
    assert crossing_headers(passed_headers(CALLER, Wire.MESSAGES)) == {
        "content-type": "application/json; charset=utf-8",
        "accept": "text/event-stream",
    }


def test_each_wire_has_its_defaults() -> None:
    assert passed_headers({}, Wire.CHAT) == {"content-type": "application/json"}
    assert passed_headers({}, Wire.MESSAGES)["anthropic-version"] == "2023-06-01"
    assert passed_headers({"anthropic-version": "2024-01-01"}, Wire.MESSAGES)["anthropic-version"] == "2024-01-01"


MODELS = [ListedModel("openai/a", "openai"), ListedModel("anthropic/b", "anthropic")]


def test_models_are_listed_in_both_dialects() -> None:
    openai = models_body(Wire.CHAT, MODELS)
    assert openai["object"] == "list"
    assert openai["data"][0] == {"id": "openai/a", "object": "model", "created": 0, "owned_by": "openai"}
    anthropic = models_body(Wire.MESSAGES, MODELS)
    assert (anthropic["first_id"], anthropic["last_id"], anthropic["has_more"]) == ("openai/a", "anthropic/b", False)
    assert anthropic["data"][1]["type"] == "model"
    assert models_body(Wire.MESSAGES, [])["first_id"] is None


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        ("text/event-stream", False),
        ("text/event-stream; charset=utf-8", False),
        ("text/plain", False),
        ("", False),
        (None, False),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/html", True),
    ],
)
def test_what_says_that_it_is_whole_is_no_stream(kind: str | None, whole: bool) -> None:
    assert no_stream({} if kind is None else {"content-type": kind}) is whole


def test_errors_carry_the_same_facts_in_both_dialects() -> None:
    palyra = {"run_id": "01K", "approval_id": None}
    openai = error_body(Wire.CHAT, "budget_exceeded", "budget_blocked", "Too much.", "01K", palyra, param="model")
    assert openai == {
        "error": {
            "type": "budget_exceeded",
            "code": "budget_blocked",
            "param": "model",
            "message": "Too much.",
            "palyra": palyra,
        }
    }
    anthropic = error_body(Wire.MESSAGES, "budget_exceeded", "budget_blocked", "Too much.", "01K", palyra)
    assert anthropic["type"] == "error"
    assert anthropic["request_id"] == "01K"
    assert anthropic["error"]["type"] == "budget_exceeded"
    assert anthropic["error"]["palyra"] == palyra
