"""Kinds of tasks: what class of work each is, how much it may use, and what a model is told about it."""

from collections.abc import Mapping

from palyra.config.operations import TaskKind
from palyra.core.values import value
from palyra.governance.candidates import TaskClass


@value
class KindRule:
    """`token_budget` is the default, input and output of one attempt; `recall` how many notes precede the prompt."""

    task_class: TaskClass
    token_budget: int
    instructions: str = ""
    recall: int = 0


KINDS: Mapping[TaskKind, KindRule] = {
    TaskKind.BACKGROUND_PROMPT: KindRule(TaskClass.BACKGROUND_AUTOMATION, 8_192),
    TaskKind.DELEGATION_PROMPT: KindRule(TaskClass.BACKGROUND_AUTOMATION, 8_192),
    TaskKind.SUMMARY: KindRule(
        TaskClass.AUXILIARY_SUMMARY, 1_200, "Summarise what follows. Answer with the summary alone."
    ),
    TaskKind.RECALL_SEARCH: KindRule(
        TaskClass.AUXILIARY_RECALL, 1_600, "Answer from the notes above alone; say so if they do not tell.", recall=8
    ),
    TaskKind.CLASSIFICATION: KindRule(
        TaskClass.AUXILIARY_CLASSIFICATION, 600, "Classify what follows. Answer with the name of one class alone."
    ),
    TaskKind.EXTRACTION: KindRule(
        TaskClass.AUXILIARY_EXTRACTION, 1_200, "Extract what is asked for from what follows. Answer with JSON alone."
    ),
    TaskKind.VISION: KindRule(TaskClass.AUXILIARY_VISION, 2_000),
}
