"""The configuration of a running engine: how it stands, and reading it again."""

import asyncio

from palyra.config.load import LoadResult
from palyra.config.problem import Problem
from palyra.config.settings import waiting
from palyra.control.config_queries import INVALID, ConfigAnswer, ConfigProblemView
from palyra.control.snapshots import CommandResult, FaultView
from palyra.core.errors import ConflictError
from palyra.core.plural import plural
from palyra.engine import Engine
from palyra.engine.reloading import ReloadTold
from palyra.governance.four_eyes import Decider


async def reload_configuration(engine: Engine, by: Decider) -> CommandResult:
    """Raises ConflictError, JournalUnavailableError."""
    told = await engine.reloading.reload(by)
    data = {
        "applied": ",".join(told.applied),
        "pending": ",".join(told.pending),
        "warnings": "\n".join(map(str, told.warnings)),
    }
    if told.problems:
        return CommandResult(
            "conflict",
            f"The configuration has {plural(len(told.problems), 'problem')}; nothing was changed.",
            "`palyra config check` shows where.",
            data,
            INVALID,
            tuple(FaultView(problem.key, str(problem)) for problem in told.problems),
        )
    return CommandResult("accepted", _in_words(told), data=data)


def _in_words(told: ReloadTold) -> str:
    applied = f"Applied: {', '.join(told.applied)}." if told.applied else "Nothing to apply is different."
    waits = f" Waiting for a restart: {', '.join(told.pending)}." if told.pending else ""
    given = f" Operators' budgets gave way: {', '.join(told.budgets.given_way)}." if told.budgets.given_way else ""
    return f"The configuration was read again. {applied}{waits}{given}"


async def config_answer(engine: Engine) -> ConfigAnswer:
    """How the configuration of an engine stands, with its file as it is now."""
    state = engine.reloading.state
    try:
        found = await engine.reloading.look()
    except ConflictError:
        found = LoadResult(engine.config)
    running, fresh = engine.config, found.config
    differ = {} if fresh is None else await asyncio.to_thread(waiting, running, fresh)
    return ConfigAnswer(
        live=True,
        path="" if found.path is None else str(found.path.absolute()),
        version=running.version,
        problems=tuple(map(problem_view, found.problems)),
        warnings=tuple(map(problem_view, found.warnings)),
        waiting=differ,
        pending_restart=state.pending_restart,
        reloaded_at=state.reloaded_at,
        reload_ok=state.reload_ok,
    )


def file_answer(found: LoadResult) -> ConfigAnswer:
    """How a configuration stands that no engine runs on."""
    return ConfigAnswer(
        live=False,
        path="" if found.path is None else str(found.path.absolute()),
        version=found.legible.version,
        problems=tuple(map(problem_view, found.problems)),
        warnings=tuple(map(problem_view, found.warnings)),
    )


def problem_view(problem: Problem) -> ConfigProblemView:
    """What is wrong with the configuration, as consoles see it."""
    return ConfigProblemView(
        code=problem.code.value,
        key=problem.key,
        place=problem.origin.place,
        message=problem.message,
        fix=problem.fix,
        suggestions=problem.suggestions,
        text=str(problem),
    )
