"""Why a prompt would go where it would go: the engine's own plan for it, told in full and thrown away."""

import json
from typing import Any

from palyra.control.serving_queries import LONGEST_PROMPT, CandidateView, SelectionAnswer, SelectionQuery
from palyra.control.snapshots import CounterfactualView
from palyra.control.views import evaluation_view
from palyra.core.errors import BadInputError
from palyra.core.scope import Scope
from palyra.core.windows import FARTHEST_MS
from palyra.governance.candidates import Plan, TaskClass
from palyra.governance.complexity import complexity
from palyra.governance.explain import sentences
from palyra.providers.request import parse_request
from palyra.providers.ways import BREAKER_OPEN, Obstacle
from palyra.providers.wires import Wire
from palyra.runs.planning import Planner
from palyra.runs.previewing import preview
from palyra.runs.request import RunRequest
from palyra.vault.access import FIRST_KEY, FIRST_PRINCIPAL

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""The smallest image there is, in place of the one that would be sent."""
TOOL = {"type": "function", "function": {"name": "tool", "parameters": {"type": "object", "properties": {}}}}
"""A tool in place of those that would be offered."""


def own_scope(principal: str = "", session: str = "", tags: dict[str, str] | None = None, channel: str = "") -> Scope:
    """Whom a request is for that an operator makes; without a principal it is of the first key."""
    if principal:
        return Scope(principal, session, tags=tags or {}, channel=channel)
    return Scope(FIRST_PRINCIPAL, session or f"default:{FIRST_KEY}", FIRST_KEY, tags=tags or {}, channel=channel)


async def explain_selection(
    planner: Planner, query: SelectionQuery, now: int, *, live: bool, failover: bool
) -> SelectionAnswer:
    """`failover` is whether the configuration lets another model answer.

    Raises BadInputError, and ModelNotFoundError for a model nobody has.
    """
    at = now if query.at is None else query.at
    if at < now:
        raise BadInputError(
            "That instant has passed.", fix="Leave it out, or look at what was decided with `palyra explain`."
        )
    if at > FARTHEST_MS:
        raise BadInputError("That instant is beyond the year 9998.", fix="Name an earlier one.")
    request = _request(query)
    found = await preview(planner, request, at, failover=failover)
    plan = found.plan
    images = 1 if query.vision else 0
    made_of = complexity(query.prompt, wants_json=query.json_mode, images=images)
    parts = {
        "bytes": made_of.bytes_part,
        "tokens": made_of.tokens_part,
        "json": made_of.json_part,
        "images": made_of.images_part,
        "keywords": made_of.keywords_part,
    }
    decision, estimate = plan.decision, plan.estimate
    metrics = {item.policy_id: item.metric_kind.value for item in decision.evaluations}
    return SelectionAnswer(
        at=at,
        live=live,
        score=round(decision.complexity, 4),
        parts={name: round(part, 4) for name, part in parts.items()},
        mode=decision.mode.value,
        outcome=decision.outcome.value,
        action=decision.action.value,
        requested_model=decision.requested_model,
        recommended_model=decision.recommended_model,
        actual_model=decision.actual_model,
        candidates=_candidates(plan),
        reason_codes=decision.reason_codes,
        sentences=(*sentences(decision), *(_kept_away(*one) for one in found.kept_away.items())),
        evaluations=tuple(evaluation_view(item) for item in decision.evaluations),
        counterfactual=tuple(
            CounterfactualView(one.kind, one.text, one.policy_id, one.amount, metrics.get(one.policy_id, ""), one.value)
            for one in decision.counterfactual
        ),
        expected_input=0 if estimate is None else estimate.expected_input,
        expected_output=0 if estimate is None else estimate.expected_output,
        bound_input=0 if estimate is None else estimate.bound_input,
        bound_output=0 if estimate is None else estimate.bound_output,
        expected_nano_usd=None if estimate is None else estimate.expected_usd,
        bound_nano_usd=None if estimate is None else estimate.bound_usd,
        price_state="" if estimate is None else estimate.state.value,
        max_tokens=plan.send_max_tokens,
    )


def _kept_away(provider: str, obstacle: Obstacle) -> str:
    """Why a provider cannot be asked now, in words."""
    if obstacle.retry_after_ms is None:
        return obstacle.detail
    wait = f"{max(1, round(obstacle.retry_after_ms / 1000))} s"
    if obstacle.code == BREAKER_OPEN:
        return f"The provider {provider} failed too often; it is tried again in {wait}."
    return f"Every credential of {provider} rests after an error, for {wait} more."


def _candidates(plan: Plan) -> tuple[CandidateView, ...]:
    """Those that could serve in the order of their cost, then those that were passed over."""
    reports = {report.model: report for report in plan.decision.candidates}
    able = {one.candidate.model: one for one in plan.tried}
    views = [
        CandidateView(
            model_id=one.candidate.model,
            provider_id=one.candidate.provider,
            tier=one.candidate.tier.value,
            expected_nano_usd=one.estimate.expected_usd,
            bound_nano_usd=one.estimate.bound_usd,
            p50_ms=None if one.candidate.p50_ms is None else round(one.candidate.p50_ms),
            chosen=one.candidate.model == plan.decision.actual_model,
        )
        for one in plan.tried
    ]
    views += [
        CandidateView(report.model, report.provider, "", report.reasons)
        for report in reports.values()
        if report.model not in able
    ]
    return tuple(views)


def _request(query: SelectionQuery) -> RunRequest:
    prompt = query.prompt.encode("utf-8", "replace").decode()
    if len(prompt.encode()) > LONGEST_PROMPT:
        raise BadInputError(f"A prompt of more than {LONGEST_PROMPT // 1024} KiB is not explained.", fix="Shorten it.")
    if query.task_class not in set(TaskClass):
        known = ", ".join(TaskClass)
        raise BadInputError(f"There is no task class {query.task_class!r}.", fix=f"There are {known}.")
    content: object = prompt
    if query.vision:
        content = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    body: dict[str, Any] = {"model": query.model, "messages": [{"role": "user", "content": content}]}
    if query.json_mode:
        body["response_format"] = {"type": "json_object"}
    if query.tools:
        body["tools"] = [TOOL]
    if query.max_tokens is not None:
        body["max_tokens"] = query.max_tokens
    parsed = parse_request(Wire.CHAT, json.dumps(body).encode())
    scope = own_scope(query.principal, query.session, dict(query.tags))
    return RunRequest(scope, parsed, task_class=query.task_class)
