"""`palyra vault`: secrets by reference. A value comes from a prompt or standard input, never from the arguments."""

import sys
from typing import Annotated

import typer

from palyra.cli.launch import Launch
from palyra.cli.options import BAD_INPUT, DONE, REFUSED, Config, Json, StateDir, act, place, report, run
from palyra.cli.output import complain, instant, print_json, say, say_text, table
from palyra.control.secrets_commands import AbandonVault, DeleteSecret, RevealSecret, RotateVault, SetSecret
from palyra.control.secrets_queries import VaultAnswer, VaultQuery
from palyra.core.errors import BadInputError
from palyra.core.plural import plural
from palyra.core.safe_text import safe

Ref = Annotated[str, typer.Argument(metavar="REF", help="A reference such as global/openai-key.")]
MOST_READ = 128 * 1024
"""Characters read of standard input: more than any secret has."""
UNUSABLE = ("locked", "wrong_key", "damaged", "newer")


def vault(launch: Launch) -> typer.Typer:
    """`palyra vault …`."""
    app = typer.Typer(help="Secrets at rest, by reference.", no_args_is_help=True)

    @app.command("status")
    def status(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Whether the vault can be opened, and with which key; exit 1 if it cannot."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(VaultQuery())
            if as_json:
                print_json({name: getattr(answer, name) for name in STATUS} | {"entries": len(answer.entries)})
            else:
                _print_status(answer)
            return REFUSED if answer.state in UNUSABLE else DONE

        run(work)

    @app.command("list")
    def list_(config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Every entry and whether it can be read; never a value."""

        async def work() -> int:
            async with launch.reading(place(config, state_dir)) as control:
                answer = await control.ask(VaultQuery())
            if as_json:
                print_json({"entries": answer.entries, "missing": answer.missing})
                return DONE
            _print_entries(answer)
            return DONE

        run(work)

    @app.command("set")
    def set_(ref: Ref, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Keeps a secret, in place of any that is there. It is asked for, or read from standard input."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), SetSecret(ref, _given_secret(ref)), as_json=as_json)

        run(work)

    @app.command("get")
    def get(
        ref: Ref,
        reveal: Annotated[
            bool, typer.Option("--reveal", help="Really print it; that you did is written down.")
        ] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Prints a secret."""

        async def work() -> int:
            if not reveal:
                complain("A secret is printed only with --reveal, and the audit chain tells who asked.")
                return BAD_INPUT
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(RevealSecret(ref))
            if not result.ok:
                return report(result, as_json=as_json)
            if as_json:
                print_json({"ref": ref, "text": result.data["text"]})
            else:
                text = result.data["text"]
                say_text(text)
                if safe(text, multiline=True) != text:
                    complain("It holds characters that no terminal should be given; --json prints it to the letter.")
            return DONE

        run(work)

    @app.command("delete")
    def delete(ref: Ref, config: Config = None, state_dir: StateDir = None, as_json: Json = False) -> None:
        """Drops a secret, and the backup that still holds it."""

        async def work() -> int:
            return await act(launch, place(config, state_dir), DeleteSecret(ref), as_json=as_json)

        run(work)

    @app.command("rotate")
    def rotate(
        cancel: Annotated[bool, typer.Option("--cancel", help="Take back a new key that is not in use yet.")] = False,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Seals everything with a new key. Where the key is in the environment, the new one is shown this once."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                result = await control.send(RotateVault(cancel=cancel))
            if as_json or not result.ok or "key" not in result.data:
                return report(result, as_json=as_json)
            say(result.data["key"])
            complain(f"{result.message} {result.fix}".strip())
            return DONE

        run(work)

    @app.command("abandon")
    def abandon(
        secrets: Annotated[
            int | None, typer.Option("--secrets", min=0, help="How many secrets are given up; else it is asked.")
        ] = None,
        config: Config = None,
        state_dir: StateDir = None,
        as_json: Json = False,
    ) -> None:
        """Gives up a vault that cannot be opened: its files are moved aside, and a new one can be begun."""

        async def work() -> int:
            async with launch.acting(place(config, state_dir)) as control:
                count = secrets
                if count is None:
                    answer = await control.ask(VaultQuery())
                    complain(answer.problem or f"The vault is {answer.state}.")
                    count = typer.prompt("Type the number of secrets that are given up", type=int, err=True)
                return report(await control.send(AbandonVault(count)), as_json=as_json)

        run(work)

    return app


STATUS = ("state", "problem", "key_source", "key_id", "offered_key_id", "path", "pending", "missing")


def _given_secret(ref: str) -> str:
    """Typed without an echo, or all of standard input without the line feed at its end."""
    if sys.stdin.isatty():
        text: str = typer.prompt(f"Secret for {ref}", hide_input=True, err=True)
        return text
    try:
        return typer.get_text_stream("stdin").read(MOST_READ).removesuffix("\n")
    except UnicodeDecodeError:
        raise BadInputError("Standard input is no UTF-8 text.", fix="Write it in UTF-8.") from None


def _print_status(answer: VaultAnswer) -> None:
    key = f" · key {answer.key_id}" if answer.key_id else ""
    say(f"{answer.state}{key} · by {answer.key_source} · {plural(len(answer.entries), 'secret')} · {answer.path}")
    if answer.problem:
        complain(answer.problem)
    if answer.pending:
        complain("A new key waits to be put into PALYRA_VAULT_KEY; `palyra vault rotate --cancel` takes it back.")
    for ref in answer.missing:
        complain(f"Something refers to {ref}, which is not in the vault.")


def _print_entries(answer: VaultAnswer) -> None:
    if answer.problem:
        complain(answer.problem)
    if not answer.entries:
        say("The vault is empty.")
        return
    rows = [
        [one.ref, "readable" if one.state == "resolved" else one.state, instant(one.updated_at or None)]
        for one in answer.entries
    ]
    table(["reference", "state", "changed"], rows)
