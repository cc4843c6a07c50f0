"""The `palyra` command line, built on what `palyra.main` can launch."""

from pathlib import Path
from typing import Annotated

import httpx
import typer

from palyra import __version__
from palyra.cli.access import access
from palyra.cli.alerts import alerts
from palyra.cli.approvals import approvals
from palyra.cli.audit import audit
from palyra.cli.auth import auth
from palyra.cli.budgets import budgets
from palyra.cli.config import config_commands
from palyra.cli.dead_letters import notifications
from palyra.cli.diagnostics import add_diagnostics
from palyra.cli.doctor import run as run_doctor
from palyra.cli.incidents import incidents
from palyra.cli.jobs import jobs
from palyra.cli.keys import keys
from palyra.cli.launch import Launch
from palyra.cli.memory import memory
from palyra.cli.models import models
from palyra.cli.options import (
    BAD_INPUT,
    CLAIMED,
    DONE,
    NO_ENGINE,
    NOT_FOUND,
    REFUSED,
    Config,
    Json,
    StateDir,
    given_text,
    place,
    run,
)
from palyra.cli.output import amount, complain, print_foreign_json, print_json, say, say_text
from palyra.cli.pricing import pricing
from palyra.cli.providers import providers
from palyra.cli.reload import add_reload
from palyra.cli.replay import add_replay
from palyra.cli.runs import runs
from palyra.cli.schedule import schedule
from palyra.cli.tasks import tasks
from palyra.cli.usage import usage
from palyra.cli.vault import vault
from palyra.cli.verify import add_explain, ledger
from palyra.cli.windows import windows
from palyra.control.snapshots import Snapshot
from palyra.core.errors import BadInputError, PalyraError
from palyra.core.money import format_usd
from palyra.core.reasons import reason_of
from palyra.core.values import value

RUN_TIMEOUT_S = 900.0
_REFUSALS = {400: BAD_INPUT, 404: NOT_FOUND}


def build_app(launch: Launch) -> typer.Typer:
    """The whole command line. Importing it never imports Textual."""
    app = typer.Typer(
        name="palyra",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @app.callback()
    def who(
        operator: Annotated[
            str, typer.Option("--operator", metavar="O", help="Who you are, on an account that several use.")
        ] = "",
        version: Annotated[
            bool, typer.Option("--version", help="Which Palyra this is.", callback=_tell_version, is_eager=True)
        ] = False,
    ) -> None:
        """Governs what language models may spend. The console is `palyra-tui`."""
        CLAIMED.set(operator)

    app.add_typer(budgets(launch), name="budgets")
    app.add_typer(approvals(launch), name="approvals")
    app.add_typer(alerts(launch), name="alerts")
    app.add_typer(jobs(launch), name="jobs")
    app.add_typer(schedule(), name="schedule")
    app.add_typer(incidents(launch), name="incidents")
    app.add_typer(notifications(launch), name="notifications")
    app.add_typer(runs(launch), name="runs")
    app.add_typer(tasks(launch), name="tasks")
    app.add_typer(memory(launch), name="memory")
    app.add_typer(usage(launch), name="usage")
    app.add_typer(pricing(launch), name="pricing")
    app.add_typer(models(launch), name="models")
    app.add_typer(providers(launch), name="providers")
    app.add_typer(config_commands(launch), name="config")
    app.add_typer(windows(launch), name="windows")
    app.add_typer(ledger(launch), name="ledger")
    app.add_typer(audit(launch), name="audit")
    app.add_typer(access(launch), name="access")
    app.add_typer(keys(launch), name="keys")
    app.add_typer(auth(launch), name="auth")
    app.add_typer(vault(launch), name="vault")
    _add_doctor(app)
    add_explain(app, launch)
    add_diagnostics(app, launch)
    add_replay(app, launch)
    add_reload(app, launch)
    _add_status(app, launch)
    _add_run(app, launch)

    @app.command("serve")
    def serve(
        config: Config = None,
        state_dir: StateDir = None,
        bind: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where the gateway listens.")] = None,
        ready_file: Annotated[
            Path | None, typer.Option(metavar="F", help="Written as JSON once the gateway answers.")
        ] = None,
    ) -> None:
        """Runs the engine and the gateway without a screen."""
        raise typer.Exit(launch.serve(place(config, state_dir), bind=bind, ready_file=ready_file))

    @app.command("demo")
    def demo(
        state_dir: StateDir = None,
        ascii_only: Annotated[
            bool | None, typer.Option("--ascii/--unicode", help="Draw with ASCII only, or not; else by the locale.")
        ] = None,
    ) -> None:
        """Opens the console on made-up traffic, in a state of its own."""
        raise typer.Exit(launch.demo(state_dir, ascii_only=ascii_only))

    return app


def _tell_version(asked: bool) -> None:
    if asked:
        say(f"palyra {__version__}")
        raise typer.Exit(DONE)


def status_json(snapshot: Snapshot) -> dict[str, object]:
    """What `palyra status --json` tells."""
    engine = snapshot.engine
    return {
        "phase": engine.phase,
        "mode": engine.mode,
        "version": engine.version,
        "pid": engine.pid or None,
        "gateway_url": engine.gateway_url,
        "socket": engine.socket,
        "key_file": engine.key_file,
        "state_dir": engine.state_dir,
        "config_path": engine.config_path,
        "demo": engine.demo,
        "journal_ok": engine.journal_ok,
        "lag_ms": engine.lag_ms,
        "problems": list(engine.problems),
        "spend_today_nano_usd": snapshot.spend_today_nano_usd,
        "tightest": snapshot.tightest,
        "approvals_pending": snapshot.approvals_pending,
        "incidents_open": snapshot.incidents_open,
        "runs_live": snapshot.runs_live,
        "requests_total": snapshot.requests_total,
        "providers": snapshot.providers,
    }


def _add_doctor(app: typer.Typer) -> None:
    """Listed with the others; it reads its flags itself, since it starts where no package can be loaded."""

    @app.command(
        "doctor",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )
    def doctor(context: typer.Context) -> None:
        """Finds what is wrong with an installation, repairs it, and takes repairs back."""
        raise typer.Exit(run_doctor(context.args))


def _add_status(app: typer.Typer, launch: Launch) -> None:
    @app.command("status")
    def status(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """What the console's status line shows."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                snapshot = await control.snapshot([])
            if as_json:
                print_json(status_json(snapshot))
                return DONE
            engine = snapshot.engine
            say(f"{engine.phase} · {engine.mode} · today {format_usd(snapshot.spend_today_nano_usd)}")
            if snapshot.tightest is not None:
                view = snapshot.tightest
                used = amount(view.settled + view.held, view.metric_kind)
                of = amount(view.hard_limit, view.metric_kind)
                say(f"tightest budget: {view.policy_id} {used} of {of} ({view.used_ratio:.0%})")
            say(f"approvals pending: {snapshot.approvals_pending} · runs live: {snapshot.runs_live}")
            for provider in snapshot.providers:
                say(f"provider {provider.provider_id}: {provider.health} {provider.detail}".rstrip())
            if engine.gateway_url:
                say(f"gateway {engine.gateway_url} · key in {engine.key_file}")
            for problem in engine.problems:
                complain(problem)
            return DONE

        run(work)


def _add_run(app: typer.Typer, launch: Launch) -> None:
    @app.command("run")
    def run_prompt(
        prompt: Annotated[str, typer.Argument(help="The prompt; `-` reads standard input.")],
        model: Annotated[str, typer.Option(help="A model's id, or auto.")] = "auto",
        session: Annotated[str | None, typer.Option(help="The session it belongs to.")] = None,
        max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Sends one governed prompt through the gateway and prints the answer."""

        async def work() -> int:
            question = _Question(given_text(prompt), model, session, max_tokens)
            async with launch.gateway(place(config, state_dir)) as door:
                return await _ask_gateway(door.url, _key(door.key_file), question, as_json)

        run(work)


@value
class _Question:
    """What is asked of the gateway. Raises BadInputError for text that cannot be sent."""

    prompt: str
    model: str
    session: str | None
    max_tokens: int | None

    def __post_init__(self) -> None:
        for name, text in (("The prompt", self.prompt), ("--model", self.model)):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise BadInputError(f"{name} is no UTF-8 text.", fix="Write it in UTF-8.") from None
        if self.session is not None and not (self.session.isascii() and self.session.isprintable()):
            raise BadInputError("--session must be printable ASCII.", fix="Use letters, digits and . _ : @ / -.")

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {"model": self.model, "messages": [{"role": "user", "content": self.prompt}]}
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        return body


def _key(key_file: Path) -> str:
    try:
        return key_file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PalyraError(
            f"The gateway key cannot be read: {reason_of(error)}.", fix="Run as the engine's account."
        ) from None


async def _ask_gateway(url: str, key: str, question: _Question, as_json: bool) -> int:
    headers = {"authorization": f"Bearer {key}"}
    if question.session is not None:
        headers["x-palyra-session"] = question.session
    try:
        async with httpx.AsyncClient(base_url=url, timeout=RUN_TIMEOUT_S, trust_env=False) as client:
            response = await client.post("/v1/chat/completions", json=question.body(), headers=headers)
    except httpx.HTTPError as error:
        complain(f"The gateway at {url} did not answer: {error}")
        return NO_ENGINE
    return tell_reply(response, as_json=as_json)


def tell_reply(response: httpx.Response, *, as_json: bool) -> int:
    """Prints what the gateway answered, whatever its shape, and returns the exit code that says the same."""
    try:
        data: object = response.json()
    except (ValueError, RecursionError):
        data = None
    told = {name: value for name, value in response.headers.items() if name.startswith("x-palyra-")}
    status = response.status_code
    if status != httpx.codes.OK:
        if as_json:
            print_foreign_json({"status": status, **(data if isinstance(data, dict) else {}), "headers": told})
        else:
            complain(str(_within(data, "error", "message") or f"HTTP {status}"))
        return _REFUSALS.get(status, REFUSED)
    if as_json:
        print_foreign_json({"status": status, "reply": data, "headers": told})
        return DONE
    answer = _within(data, "choices", 0, "message", "content")
    if isinstance(answer, str):
        say_text(answer)
    else:
        complain("The answer has no text; --json shows all of it.")
    complain(f"{told.get('x-palyra-model')} · ${told.get('x-palyra-cost-usd', '?')} · run {told.get('x-palyra-run')}")
    return DONE


def _within(data: object, *path: str | int) -> object:
    """The value at a path of members and places; None where the data has another shape."""
    for step in path:
        if isinstance(data, dict):
            data = data.get(step)
        else:
            data = data[step] if isinstance(data, list) and isinstance(step, int) and step < len(data) else None
    return data
