"""`palyra budgets`: the policies and where their counters stand."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from palyra.cli.budget_detail import tell_budget
from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, act, place, run
from palyra.cli.output import amount, instant, print_json, say, table
from palyra.control.commands import AddPolicy, EditPolicy, RemovePolicy
from palyra.control.queries import BudgetQuery
from palyra.control.snapshots import Topic

PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's id.")]
Revision = Annotated[int | None, typer.Option(help="Refuse unless the policy is at this revision.")]
POLICY_FIELDS = {
    "hard_limit": "What may be used at most: dollars, tokens or requests.",
    "soft_limit": "Where warnings begin: an amount, or a share of the hard limit like 80%.",
    "scope_kind": "What is counted: global, user, session, channel, agent, job, model, provider, key or tag.",
    "scope_id": "Which one of these, or * for a counter of each.",
    "metric_kind": "estimated_cost_usd, total_tokens or requests.",
    "interval_kind": "hourly, daily, weekly, monthly, rolling_24h, rolling_30d or lifetime.",
    "timezone": "Whose midnight windows begin at, like Europe/Prague.",
    "action": "What happens at the limit: block, approval_required or advise.",
    "routing_override": "Where requests are sent past the soft limit.",
    "on_unknown_price": "For models whose price nobody knows: block, allow, or flat:0.50 for each attempt.",
    "name": "What people call it.",
    "enabled": "true or false.",
}
"""The fields of a policy as options, each with its help."""


def _with_fields(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for every field of a policy; its `fields` are those that were given, as text."""

    @wraps(command)
    def taking(**given: Any) -> None:
        texts = {name: given.pop(name) for name in POLICY_FIELDS}
        command(fields={name: text for name, text in texts.items() if text is not None}, **given)

    own = dict(inspect.signature(command).parameters)
    del own["fields"]
    options = {
        name: inspect.Parameter(
            name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[str | None, typer.Option(metavar="TEXT", help=text)],
        )
        for name, text in POLICY_FIELDS.items()
    }
    policy_id = own.pop("policy_id")
    parameters = [policy_id, *options.values(), *own.values()]
    # Typer reads both: the order and defaults from one, the types from the other.
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    taking.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return taking


def budgets(launch: Launch) -> typer.Typer:
    """`palyra budgets …`."""
    app = typer.Typer(help="Budget policies and where their counters stand.", no_args_is_help=True)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every policy's counters in their current windows."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                snapshot = await control.snapshot([Topic.BUDGETS])
            if as_json:
                print_json({"budgets": snapshot.budgets})
                return DONE
            if not snapshot.budgets:
                say("No budgets yet. Add one: palyra budgets add team-day --interval-kind daily --hard-limit 5")
                return DONE
            rows = [
                (
                    view.policy_id,
                    view.scope_kind if view.scope_value in ("", "*") else f"{view.scope_kind}={view.scope_value}",
                    view.interval_kind,
                    amount(view.settled, view.metric_kind),
                    amount(view.held, view.metric_kind),
                    amount(view.hard_limit, view.metric_kind),
                    view.action,
                    view.status if view.enabled else "disabled",
                    instant(view.window_end) if view.window_end is not None else "never",
                    view.source,
                )
                for view in snapshot.budgets
            ]
            headings = ("policy", "scope", "interval", "settled", "held", "limit", "action", "status", "renews", "from")
            table(headings, rows, right=(3, 4, 5))
            return DONE

        run(work)

    @app.command("show")
    def show(policy_id: PolicyId, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """A policy's fields, counters, grants, pending approvals, revisions and newest refusals."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                detail = await control.ask(BudgetQuery(policy_id))
            if as_json:
                print_json(detail)
            else:
                tell_budget(detail)
            return DONE

        run(work)

    @app.command("add")
    @_with_fields
    def add(
        policy_id: PolicyId,
        fields: dict[str, str],
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Adds a policy; its counters include what was already used in the current windows."""

        async def work() -> int:
            return await act(
                launch, place(config, state_dir), AddPolicy({"policy_id": policy_id, **fields}), as_json=as_json
            )

        run(work)

    @app.command("edit")
    @_with_fields
    def edit(
        policy_id: PolicyId,
        fields: dict[str, str],
        revision: Revision = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Changes fields of a policy; consumption stays, live grants and pending approvals of it are voided."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), EditPolicy(policy_id, fields, revision), as_json=as_json)

        run(work)

    def switching(enabled: str) -> Callable[..., None]:
        def switch(
            policy_id: PolicyId,
            revision: Revision = None,
            config: Config = None,
            state_dir: StateDir = None,
            as_json: Json = False,
        ) -> None:
            async def work() -> int:
                command = EditPolicy(policy_id, {"enabled": enabled}, revision)
                return await act(launch, place(config, state_dir), command, as_json=as_json)

            run(work)

        return switch

    counted = "Switches a policy on; its counters include what was used while it was off."
    app.command("enable", help=counted)(switching("true"))
    app.command("disable", help="Switches a policy off; its live grants and approvals are voided.")(switching("false"))

    @app.command("remove")
    def remove(
        policy_id: PolicyId,
        revision: Revision = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Removes a policy an operator made; those of the configuration file are edited there."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), RemovePolicy(policy_id, revision), as_json=as_json)

        run(work)

    return app
