"""sprig's camelcase, snakecase and kebabcase."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

_NUMBER, _UPPER, _ALPHABET, _CONNECTOR, _PUNCTUATION, _OTHER = range(6)
_Word = tuple[int, str]


def _is_connector(one: str) -> bool:
    return one in "-_" or one.isspace()


def _class(one: str) -> int:
    category = unicodedata.category(one)
    if _is_connector(one):
        return _CONNECTOR
    if category.startswith("P"):
        return _PUNCTUATION
    if category == "Lu":
        return _UPPER
    if category.startswith("L") and not _is_ideograph(one):
        return _ALPHABET
    return _NUMBER if category.startswith("N") else _OTHER


def _is_ideograph(one: str) -> bool:
    return "\u4e00" <= one <= "\u9fcc" or "\u3400" <= one <= "\u4d85" or "\U00020000" <= one <= "\U0002b81d"


def _words(text: str) -> list[_Word]:
    """The words of a name such as `HTTPServer20x`, each with its class."""
    found: list[_Word] = []
    at = 0
    while at < len(text):
        word_class, end = _class(text[at]), at + 1
        if word_class == _UPPER:
            while end < len(text) and _class(text[end]) == _UPPER:
                end += 1
            if end < len(text) and _class(text[end]) == _ALPHABET:
                if end - at > 1:
                    end -= 1  # the last capital begins the next word
                else:
                    end = _run(text, end, _ALPHABET)
        else:
            end = _run(text, end, word_class)
        found.append((word_class, text[at:end]))
        at = end
    return found


def _run(text: str, end: int, word_class: int) -> int:
    while end < len(text) and _class(text[end]) == word_class:
        end += 1
    return end


class _Lowering:
    """Joins words by a connector, in lower case."""

    def __init__(self, text: str, connector: str) -> None:
        self._words = _words(text)
        self._at = 0
        self._connector = connector
        self._out: list[str] = []

    def text(self) -> str:
        word = self._next()
        while word is not None and self._at < len(self._words):
            if word[0] != _CONNECTOR:
                self._write(word)
            word = self._between(word, self._next())
        self._write(word)
        return "".join(self._out)

    def _next(self) -> _Word | None:
        self._at += 1
        return self._words[self._at - 1] if self._at <= len(self._words) else None

    def _write(self, word: _Word | None) -> None:
        if word is None:
            return
        if word[0] == _CONNECTOR:
            self._out.append(self._connector * len(word[1]))
        else:
            self._out.append(word[1].lower() if word[0] == _UPPER else word[1])

    def _connect_unless(self, word: _Word | None) -> None:
        if word is None or word[0] not in (_CONNECTOR, _PUNCTUATION):
            self._out.append(self._connector)

    def _between(self, last: _Word, word: _Word | None) -> _Word | None:
        """Writes what joins two words; gives the word to go on with."""
        if last[0] == _NUMBER:
            word = self._letters_and_numbers(word)
            if word is not None:
                self._connect_unless(word)
        elif last[0] == _CONNECTOR:
            self._write(last)
        elif last[0] != _PUNCTUATION:
            if word is None or word[0] != _NUMBER:
                self._connect_unless(word)
            elif self._at < len(self._words):
                word = self._number(word)
        return word

    def _number(self, number: _Word) -> _Word | None:
        """A number belongs to the word before it, unless small letters follow: `bld4_floor`, `http_2xx`."""
        word = self._next()
        if word is None or word[0] != _ALPHABET:
            self._write(number)
            self._connect_unless(word)
            return word
        self._out.append(self._connector)
        self._write(number)
        word = self._letters_and_numbers(word)
        if word is not None:
            self._connect_unless(word)
        return word

    def _letters_and_numbers(self, word: _Word | None) -> _Word | None:
        while word is not None and word[0] in (_ALPHABET, _NUMBER):
            self._write(word)
            word = self._next()
        return word


def _snake(text: str) -> str:
    return _Lowering(text, "_").text()


def _kebab(text: str) -> str:
    return _Lowering(text, "-").text()


def _camel(text: str) -> str:
    """`some_words` and `SOME_WORDS` become `SomeWords`; leading connectors stay."""
    start = next((place for place, one in enumerate(text) if not _is_connector(one)), len(text))
    if start >= len(text) - 1 and start == len(text):
        return text + text[-1:] if len(text) > 0 else ""
    out = [text[:start]]
    shouting = text[start].isupper()
    current = text[start].upper()
    for one in text[start + 1 :]:
        last, current = current, one
        if _is_connector(current) and _is_connector(last):
            out.append(last)
            continue
        if _is_connector(last):
            shouting, current = current.isupper(), current.upper()
            continue
        if shouting and current.isupper():
            current = current.lower()
        elif shouting:
            shouting = False
        out.append(last)
    return "".join([*out, current])


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "camelcase": _camel,
    "kebabcase": _kebab,
    "snakecase": _snake,
}
