"""`palyra usage correct`: what a run used is put right from the command line, once."""

from tests.cli.test_commands import Shell, shell

__all__ = ["shell"]


def test_a_run_is_corrected_once_and_every_book_agrees(shell: Shell) -> None:
    run_id = shell.json("run", "hello world")["headers"]["x-palyra-run"]
    words = ("usage", "correct", run_id, "--reason", "the provider's invoice", "--input", "7")
    assert "now says 7 tokens in, 3 out, $0.00, instead of 3 tokens in, 3 out, $0.00." in shell(*words)
    assert shell.json("usage")["total"]["input_tokens"] == 7
    again = shell.json(*words, code=4)
    assert (again["status"], "says so already" in again["message"]) == ("conflict", True)
    assert shell.json("ledger", "verify")["ok"]
    assert shell.json("audit", "verify")["ok"]
    exported = shell("usage", "export", "--format", "csv")
    assert len(exported.splitlines()) == 3


def test_faults_of_a_correction_have_their_code(shell: Shell) -> None:
    shell("usage", "correct", "nobody", "--reason", "x", "--output", "1", code=3)
    shell("usage", "correct", "nobody", "--reason", "x", "--cost", "much", code=2)
    shell("usage", "correct", "nobody", "--reason", "x", code=2)
