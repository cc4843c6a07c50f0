"""Did you mean: the nearest known words, by Damerau-Levenshtein distance."""

from collections.abc import Iterable

MOST = 3
FARTHEST = 2


def distance(first: str, second: str) -> int:
    """Insertions, deletions, substitutions and transpositions of neighbours between two words.

    The unrestricted form, where edits may happen between transposed characters. Source: Lowrance and Wagner, "An
    Extension of the String-to-String Correction Problem" (1975).
    """
    far = len(first) + len(second)
    width = len(second) + 2
    table: list[list[int]] = [[far] * width, [far, *range(width - 1)]]
    last_row: dict[str, int] = {}
    for i, a in enumerate(first, start=1):
        row = [far, i] + [0] * len(second)
        table.append(row)
        last_column = 0
        for j, b in enumerate(second, start=1):
            k, m = last_row.get(b, 0), last_column
            if a == b:
                last_column = j
            row[j + 1] = min(
                table[i][j] + (a != b),
                row[j] + 1,
                table[i][j + 1] + 1,
                table[k][m] + (i - k - 1) + 1 + (j - m - 1),
            )
        last_row[a] = i
    return table[-1][-1]


def allowed(word: str) -> int:
    """How far a suggestion may be from `word`: at most 2, and at most a third of its length, rounded up."""
    return min(FARTHEST, -(-len(word) // 3))


def nearest(word: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """At most three of `candidates`, nearest first; among equally near ones in the order given."""
    limit = allowed(word)
    letters = set(word)
    near: list[tuple[int, int, str]] = []
    for order, candidate in enumerate(dict.fromkeys(candidates)):
        # Each letter more and each letter missing costs an edit, which is cheaper to see than the distance.
        if abs(len(candidate) - len(word)) > limit or len(letters.difference(candidate)) > limit:
            continue
        if (apart := distance(word, candidate)) <= limit:
            near.append((apart, order, candidate))
    return tuple(candidate for _, _, candidate in sorted(near)[:MOST])
