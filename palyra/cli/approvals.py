"""`palyra approvals`: who waits for a person's word, and giving it."""

from pathlib import Path
from typing import Annotated, cast

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, Config, Json, StateDir, act, place, report, run
from palyra.cli.output import USD_METRIC, amount, complain, instant, print_json, say, table
from palyra.cli.requests import Request, as_operator, with_key
from palyra.control.commands import DecideApproval, GrantScope, RevokeGrant
from palyra.control.queries import ApprovalQuery, ApprovalsQuery
from palyra.control.snapshots import ApprovalView, GrantView
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.money import MAX, parse_usd
from palyra.core.plural import plural

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval's id.")]
SCOPES = ("once", "session", "timeboxed", "amount")


def describe(view: ApprovalView) -> list[str]:
    """An approval in full: every breached budget with its numbers, and what would pass without it."""
    lines = [
        f"approval {view.approval_id} · {view.status}{f'/{view.decision}' if view.decision else ''} · risk {view.risk}",
        f"  who      {view.principal} (key {view.key_id or '–'}) · session {view.session}",
        *_wants(view),
        f"  asked    {instant(view.requested_at)} · expires {instant(view.expires_at)} · {view.waiting} waiting",
    ]
    for evaluation in view.evaluations:
        names = ("settled", "held", "bound", "projected", "hard_limit")
        settled, held, bound, projected, hard = (
            amount(getattr(evaluation, name), evaluation.metric_kind) for name in names
        )
        lines.append(
            f"  budget   {evaluation.policy_id}: {settled} settled + {held} held + {bound} this"
            f" = {projected} of {hard} · {evaluation.status}"
        )
    lines += [f"  would pass: {item.value}" for item in view.counterfactual]
    if view.resolved_at is not None and not view.decided_by:
        lines.append(f"  ended    {instant(view.resolved_at)} {view.reason}".rstrip())
    elif view.decided_by:
        lines.append(f"  decided  by {view.decided_by} {instant(view.resolved_at)} {view.reason}".rstrip())
    return lines


def _over(view: ApprovalView) -> str:
    """How far it goes beyond which budgets; a remedy goes beyond none."""
    if view.subject:
        return "–"
    return f"{amount(view.excess, view.excess_metric)} over {', '.join(view.policy_ids)}"


def _wants(view: ApprovalView) -> list[str]:
    lines: list[str] = []
    if view.subject:
        _, incident_id, remedy = view.subject.split(":")
        lines.append(f"  wants    to run {remedy} on incident {incident_id}")
    if view.refused:
        tools = f", {plural(view.tools, 'tool')}" if view.tools else ""
        lines.append(
            f"  wants    {view.model} · prompt {view.prompt_bytes:,} bytes,"
            f" about {plural(view.expected_input, 'token')}{tools}"
        )
    if view.wanted is not None:
        lines.append(f"  wants    {amount(view.wanted, view.excess_metric)} more than the limit")
    lines += [f"  reason   {one.reason} ({one.name})" for one in view.applicants]
    return lines


def approvals(launch: Launch) -> typer.Typer:
    """`palyra approvals …`."""
    app = typer.Typer(help="Requests that wait for a person.", no_args_is_help=True)

    @app.command("list")
    def list_(
        status: Annotated[str, typer.Option(help="pending or resolved; all without it.")] = "",
        limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Pending ones first, then decided ones, newest first."""

        async def work() -> int:
            if status not in ("", "pending", "resolved"):
                complain(f"--status {status!r} is unknown: use pending or resolved")
                return BAD_INPUT
            async with launch.reading(place(config, state_dir)) as control:
                page = await control.ask(ApprovalsQuery(status, limit))
            if as_json:
                print_json({"approvals": page.approvals, "grants": page.grants})
                return DONE
            if not page.approvals and not page.grants:
                say("No approvals.")
                return DONE
            table(
                ("approval", "status", "who", "session", "model", "over", "waiting", "asked"),
                [
                    (
                        view.approval_id,
                        view.decision or view.status,
                        view.principal,
                        view.session or "any",
                        view.model or view.subject.rpartition(":")[2] or "–",
                        _over(view),
                        str(view.waiting),
                        instant(view.requested_at),
                    )
                    for view in page.approvals
                ],
                right=(6,),
            )
            for grant in page.grants:
                say(_in_force(grant))
            return DONE

        run(work)

    @app.command("show")
    def show(approval_id: ApprovalId, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """One approval with every breached budget and its grants."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(ApprovalQuery(approval_id))
            if as_json:
                print_json(detail)
                return DONE
            say(*describe(detail.approval))
            for grant in detail.grants:
                drawn = f"{amount(grant.drawn, grant.metric_kind)} of {amount(grant.cap, grant.metric_kind)} drawn"
                say(f"  grant    {grant.grant_id} {grant.kind} on {grant.policy_id}: {drawn} · {grant.state}")
            say(
                f"  history  {plural(detail.requester_runs, 'run')} in 7 days,"
                f" {amount(detail.requester_cost_nano_usd, USD_METRIC)},"
                f" {plural(detail.requester_overrides, 'override')}"
            )
            if (last := detail.last_override) is not None:
                drawn = f"{amount(last.drawn, last.metric_kind)} drawn of {amount(last.cap, last.metric_kind)}"
                say(f"  before   {last.kind} by {last.by} {instant(last.at)}, {drawn}")
            return DONE

        run(work)

    @app.command("allow")
    def allow(
        approval_id: ApprovalId,
        scope: Annotated[str, typer.Option(help="once, session, timeboxed or amount.")] = "once",
        for_: Annotated[str | None, typer.Option("--for", metavar="DUR", help="How long, like 1h30m.")] = None,
        usd: Annotated[
            str | None, typer.Option("--amount", metavar="USD", help="Dollars (tokens or requests for such budgets).")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Lets the request through."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                detail = await control.ask(ApprovalQuery(approval_id))
                command = allowing(detail.approval, scope, for_, usd)
                return report(await control.send(command), as_json=as_json)

        run(work)

    @app.command("deny")
    def deny(
        approval_id: ApprovalId,
        reason: Annotated[str, typer.Option(metavar="T", help="What the requester is told.")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Refuses the request; those who wait are told so at once."""

        async def work() -> int:
            return await act(
                launch, place(config, state_dir), DecideApproval(approval_id, "deny", reason=reason), as_json=as_json
            )

        run(work)

    @app.command("request")
    def request(
        policy: Annotated[
            list[str], typer.Option("--policy", metavar="P", help="A budget, or P=VALUE for one of its counters.")
        ],
        reason: Annotated[str, typer.Option(metavar="T", help="What the room is for.")],
        principal: Annotated[str, typer.Option(metavar="U", help="For whom; the first key's without it.")] = "",
        session: Annotated[str, typer.Option(metavar="S", help="In one session; in each without it.")] = "",
        usd: Annotated[
            str, typer.Option("--amount", metavar="USD", help="Dollars (tokens or requests for such budgets).")
        ] = "",
        key_file: Annotated[
            Path | None, typer.Option(metavar="F", help="Ask with the gateway key in this file, for its principal.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Asks for room in budgets, ahead of need or after a refusal; a person decides."""

        async def work() -> int:
            asked = Request(tuple(policy), principal, session, usd, reason)
            where = place(config, state_dir)
            if key_file is None:
                return await as_operator(launch, where, asked, as_json=as_json)
            return await with_key(launch, where, asked, key_file, as_json=as_json)

        run(work)

    @app.command("revoke")
    def revoke(
        grant_id: Annotated[str, typer.Argument(metavar="GRANT")],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Ends a grant; what was drawn from it stays spent."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RevokeGrant(grant_id), as_json=as_json)

        run(work)

    return app


def _in_force(grant: GrantView) -> str:
    drawn = f"{amount(grant.drawn, grant.metric_kind)} of {amount(grant.cap, grant.metric_kind)} drawn"
    until = "" if grant.expires_at is None else f", until {instant(grant.expires_at)}"
    whom = f"{grant.principal} in {grant.session or 'any session'}"
    return f"grant {grant.grant_id} {grant.kind} on {grant.policy_id} for {whom}: {drawn}{until}"


def allowing(view: ApprovalView, scope: str, duration: str | None, usd: str | None) -> DecideApproval:
    """The command that options of `allow` stand for. Raises BadInputError."""
    if scope not in SCOPES:
        raise BadInputError(f"--scope {scope!r} is unknown.", fix=f"Use one of {', '.join(SCOPES)}.")
    if (duration is not None) != (scope == "timeboxed"):
        raise BadInputError("--for belongs to --scope timeboxed.", fix="Give both, like --scope timeboxed --for 2h.")
    if (usd is not None) != (scope == "amount"):
        raise BadInputError("--amount belongs to --scope amount.", fix="Give both, like --scope amount --amount 5.")
    seconds: int | None = None
    granted: int | None = None
    try:
        if duration is not None:
            seconds = parse_duration_ms(duration) // 1000
        if usd is not None:
            granted = parse_usd(usd) if view.excess_metric == USD_METRIC else _count(usd)
    except ValueError as error:
        raise BadInputError(f"{error}.") from None
    return DecideApproval(view.approval_id, "allow", view.version, cast(GrantScope, scope), seconds, granted)


def _count(text: str) -> int:
    """Tokens or requests. Raises ValueError for what is no whole number from 1 to the most Palyra counts."""
    try:
        number = int(text.strip().replace(",", ""))
    except ValueError:
        number = 0
    if not 0 < number <= MAX:
        raise ValueError(f"--amount {text!r} is no whole number from 1 to {MAX:,}")
    return number
