"""Words of five languages as comparable keys: folding, splitting, stems, sentences, language.

A token is folded (no accents, lower case, `ß` as `ss`) and has one stem per language, because a
card or a query rarely says which language it is in. Stems: Snowball (Porter, "Snowball: a language
for stemming algorithms", 2001). Nothing here knows finance.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import snowballstemmer

if TYPE_CHECKING:
    from collections.abc import Iterable

STEM_SHORTEST: Final = 3  # letters
ENOUGH: Final = 2  # common words of a language that show a text uses it
LANGUAGES: Final = ("en", "de", "fr", "es", "pt")
_SNOWBALL: Final = {
    "en": snowballstemmer.stemmer("english"),
    "de": snowballstemmer.stemmer("german"),
    "fr": snowballstemmer.stemmer("french"),
    "es": snowballstemmer.stemmer("spanish"),
    "pt": snowballstemmer.stemmer("portuguese"),
}
_TOKEN: Final = re.compile(r"c\+\+|[^\W_]+", re.UNICODE)
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "œ": "oe", "æ": "ae", "\u2019": "'"}
)

_NOT: Final = re.compile(r"n't\b")
_US: Final = re.compile(r"\bU\.?S\.?(?=\W|$)")  # folded it would be the pronoun


def _read_words() -> dict[str, frozenset[str]]:
    text = (files("models.hub.search") / "thesaurus/stopwords.toml").read_text(encoding="utf-8")
    return {language: frozenset(words.split()) for language, words in tomllib.loads(text).items()}


WORDS: Final = _read_words()
STOP: Final = {language: WORDS[language] for language in LANGUAGES}


@lru_cache(maxsize=1 << 14)
def fold(text: str) -> str:
    """Lower case without accents: `Bonität` and `bonitat` are one word."""
    plain = unicodedata.normalize("NFKD", text).lower().translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", plain)
    return "".join(mark for mark in plain if not unicodedata.combining(mark))


def tokens(text: str) -> list[str]:
    """Folded words of a text, in order. `EUR/USD` gives two, `C++` one."""
    return _TOKEN.findall(_NOT.sub(" not", fold(_US.sub("usa", text))))


@lru_cache(maxsize=1 << 17)
def stem(token: str, language: str = "en") -> str:
    """The stem of a folded token; words with digits and very short ones are their own stem."""
    if len(token) < STEM_SHORTEST or not token.isalpha():
        return token
    if token in WORDS["themselves"] or token[:-1] in WORDS["themselves"]:
        return token.removesuffix("s") if token not in WORDS["themselves"] else token
    return str(fold(_SNOWBALL[language].stemWord(token)))


def sentences(text: str) -> list[str]:
    """Sentences and lines, empty ones left out."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def languages_of(words: Iterable[str]) -> tuple[str, ...]:
    """English, and every other language with `ENOUGH` common words in a text."""
    counts = dict.fromkeys(LANGUAGES, 0)
    for word in words:
        for language in LANGUAGES[1:]:
            if word in STOP[language] and word not in STOP["en"]:
                counts[language] += 1
    return ("en", *(language for language in LANGUAGES[1:] if counts[language] >= ENOUGH))


def is_stop(token: str, languages: Iterable[str] = LANGUAGES) -> bool:
    """True for a word that says little in one of the languages."""
    return any(token in STOP[language] for language in languages)
