"""The words of a text as they are compared: in lower case, without accents."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """In order, each as often as it occurs; as the word index of the journal has them."""
    plain = "".join(one for one in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(one) != "Mn")
    return _WORD.findall(unicodedata.normalize("NFC", plain))
