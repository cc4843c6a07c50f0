"""`palyra budgets`: the policies and where their counters stand."""

from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, report, run
from palyra.cli.output import amount, instant, print_json, say, table
from palyra.control.commands import AddPolicy, EditPolicy, RemovePolicy
from palyra.control.snapshots import Topic

PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's id.")]
Text = Annotated[str | None, typer.Option(metavar="TEXT")]


def _fields(given: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in given.items() if text is not None}


def budgets(launch: Launch) -> typer.Typer:
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

    @app.command("add")
    def add(
        policy_id: PolicyId,
        hard_limit: Text = None,
        soft_limit: Text = None,
        scope_kind: Text = None,
        scope_id: Text = None,
        metric_kind: Text = None,
        interval_kind: Text = None,
        timezone: Text = None,
        action: Text = None,
        routing_override: Text = None,
        on_unknown_price: Text = None,
        name: Text = None,
        enabled: Text = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Adds a policy; its counters include what was already used in the current windows."""
        fields = _fields(
            {
                "policy_id": policy_id,
                "hard_limit": hard_limit,
                "soft_limit": soft_limit,
                "scope_kind": scope_kind,
                "scope_id": scope_id,
                "metric_kind": metric_kind,
                "interval_kind": interval_kind,
                "timezone": timezone,
                "action": action,
                "routing_override": routing_override,
                "on_unknown_price": on_unknown_price,
                "name": name,
                "enabled": enabled,
            }
        )

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                return report(await control.send(AddPolicy(fields)), as_json=as_json)

        run(work)

    @app.command("edit")
    def edit(
        policy_id: PolicyId,
        hard_limit: Text = None,
        soft_limit: Text = None,
        scope_kind: Text = None,
        scope_id: Text = None,
        metric_kind: Text = None,
        interval_kind: Text = None,
        timezone: Text = None,
        action: Text = None,
        routing_override: Text = None,
        on_unknown_price: Text = None,
        name: Text = None,
        enabled: Text = None,
        revision: Annotated[int | None, typer.Option(help="Refuse unless the policy is at this revision.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Changes fields of a policy; consumption stays, live grants and pending approvals of it are voided."""
        fields = _fields(
            {
                "hard_limit": hard_limit,
                "soft_limit": soft_limit,
                "scope_kind": scope_kind,
                "scope_id": scope_id,
                "metric_kind": metric_kind,
                "interval_kind": interval_kind,
                "timezone": timezone,
                "action": action,
                "routing_override": routing_override,
                "on_unknown_price": on_unknown_price,
                "name": name,
                "enabled": enabled,
            }
        )

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                return report(await control.send(EditPolicy(policy_id, fields, revision)), as_json=as_json)

        run(work)

    @app.command("remove")
    def remove(
        policy_id: PolicyId,
        revision: Annotated[int | None, typer.Option(help="Refuse unless the policy is at this revision.")] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Removes a policy an operator made; those of the configuration file are edited there."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                return report(await control.send(RemovePolicy(policy_id, revision)), as_json=as_json)

        run(work)

    return app
