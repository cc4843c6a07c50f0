"""`palyra reload`: the running engine reads its configuration file again."""

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import REFUSED, Json, StateDir, place, report, run
from palyra.cli.output import complain
from palyra.control.commands import Reload
from palyra.control.config_queries import INVALID
from palyra.core.errors import EngineGoneError


def add_reload(app: typer.Typer, launch: Launch) -> None:
    """Adds `palyra reload`."""

    @app.command("reload")
    def reload(state_dir: StateDir = None, as_json: Json = False) -> None:
        """Has the running engine read its configuration again: budgets, prices, jobs and what else may change under
        way apply at once, the rest waits for a restart. With any problem nothing changes."""

        async def work() -> int:
            async with launch.running(place(None, state_dir)) as control:
                if control is None:
                    raise EngineGoneError(
                        "No engine runs on this state directory.", fix="The next start reads the configuration anyway."
                    )
                result = await control.send(Reload())
            code = report(result, as_json=as_json)
            if not as_json:
                for told in [
                    *(fault.message for fault in result.faults),
                    *result.data.get("warnings", "").splitlines(),
                ]:
                    complain(f"  {told}")
            return REFUSED if result.code == INVALID else code

        run(work)
