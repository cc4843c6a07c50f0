"""`palyra diagnostics`: what every part of the running house is doing."""

from collections.abc import Iterator
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import DONE, Config, Json, StateDir, place, run
from palyra.cli.output import instant, print_foreign_json, say, table
from palyra.control.diagnostics_answers import diagnosis_json
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.core.durations import format_duration


def add_diagnostics(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra diagnostics`."""

    @app.command("diagnostics")
    def diagnostics(
        section: Annotated[
            list[str] | None, typer.Option(metavar="S", help="Only this section; may be given several times.")
        ] = None,
        fresh: Annotated[bool, typer.Option("--fresh", help="Look anew, at most once a second.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """What every part of the running house is doing; the installation itself is examined by `palyra doctor`."""

        async def work() -> int:
            asked = [name for names in section or [] for name in names.split(",") if name]
            async with launch.reading(place(config, state_dir)) as control:
                told = await control.ask(DiagnosticsQuery(tuple(dict.fromkeys(asked)), fresh))
            if as_json:
                print_foreign_json(diagnosis_json(told))
            else:
                _print(told)
            return DONE

        run(work)


def _print(told: Diagnosis) -> None:
    engine = told.engine
    say(
        f"{told.overall.state}: Palyra {engine.version}, {engine.phase}, up {format_duration(engine.uptime_ms)},"
        f" at {instant(told.generated_at)}"
    )
    if told.overall.root_causes:
        say(f"begins with {', '.join(told.overall.root_causes)}")
    table(("section", "state", "why", "next step"), list(_lines(told)))
    graph = told.health_graph
    if graph is None:
        return
    hurt = [node for node in graph.nodes if node.id in told.overall.root_causes and node.impact]
    for node in hurt:
        say(f"through {node.id}: {', '.join(node.impact)}")


def _lines(told: Diagnosis) -> Iterator[tuple[str, ...]]:
    for name, section in told.sections.each().items():
        state = f"{section.state} (stale)" if section.stale else section.state.value
        if not section.reasons:
            yield name, state, "", ""
        for number, reason in enumerate(section.reasons):
            about = f" ({', '.join(reason.subjects)})" if reason.subjects else ""
            said = f"{reason.sentence}{about}" + (f" {section.error}" if section.error else "")
            yield ("" if number else name), ("" if number else state), said, reason.next_step
