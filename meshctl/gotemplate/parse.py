"""From the text of a template to its tree, with the templates it defines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from meshctl.gotemplate import literals
from meshctl.gotemplate.errors import TemplateError
from meshctl.gotemplate.lex import Kind, Token, tokens
from meshctl.gotemplate.nodes import (
    Action,
    Body,
    Break,
    Call,
    Chain,
    Command,
    Continue,
    Dot,
    Field,
    Function,
    If,
    Literal,
    Nil,
    Node,
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
    With,
)

Definitions: TypeAlias = dict[str, Body]
"""The templates of a text by name; the text itself is one of them."""
_CONTROLS: dict[str, type[If] | type[Range] | type[With]] = {"if": If, "range": Range, "with": With}
_NESTING = 200  # parentheses and blocks inside each other; Python's own stack would end first


@dataclass(frozen=True, slots=True)
class _Stop:
    """An `end`, or an `else` with the control that follows it, if one does."""

    word: str
    control: str
    line: int


@dataclass(slots=True)
class Parsed:
    """What a text holds: its templates, and where it first names each function."""

    definitions: Definitions = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)


def parse_text(source: str, name: str) -> Parsed:
    """Parse a text whose own template is called `name`.

    Raises:
        TemplateError: the first mistake, with its line.
    """
    parsed = Parsed()
    reader = _Tokens(list(tokens(source, name)), name)
    body: list[Node] = []
    parser = _Parser(reader, parsed)
    while reader.peek().kind is not Kind.END:
        if reader.peek().kind is Kind.OPEN and reader.ahead_is("define"):
            _Parser(reader, parsed).definition()
            continue
        node = parser.node()
        if isinstance(node, _Stop):
            raise reader.error(f"unexpected {{{{{node.word}}}}}", node.line)
        body.append(node)
    _define(parsed, reader, name, tuple(body), 1)
    return parsed


def _define(parsed: Parsed, reader: _Tokens, name: str, body: Body, line: int) -> None:
    """Keep a template; a second one of its name counts only if one of the two is blank."""
    if name in parsed.definitions and not _is_blank(parsed.definitions[name]):
        if not _is_blank(body):
            raise reader.error(f"the template {name!r} is defined twice", line, "give one another name")
        return
    parsed.definitions[name] = body


def _is_blank(body: Body) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in body)


class _Tokens:
    """The tokens with a place in them."""

    def __init__(self, found: list[Token], name: str) -> None:
        self.name = name
        self._found = found
        self._at = 0

    def peek(self) -> Token:
        return self._found[self._at]

    def next(self) -> Token:
        token = self._found[self._at]
        self._at = min(self._at + 1, len(self._found) - 1)
        return token

    def skip_space(self) -> Token:
        """The next token that is no space; it stays to be read."""
        while self._found[self._at].kind is Kind.SPACE:
            self._at += 1
        return self._found[self._at]

    def next_word(self) -> Token:
        self.skip_space()
        return self.next()

    def ahead_is(self, keyword: str) -> bool:
        """Whether the action that begins here begins with `keyword`."""
        at = self._at + 1
        while self._found[at].kind is Kind.SPACE:
            at += 1
        return self._found[at].kind is Kind.KEYWORD and self._found[at].text == keyword

    def after_variable(self) -> Token:
        """With a variable next: the token behind it, spaces left out."""
        at = self._at + 1
        while self._found[at].kind is Kind.SPACE:
            at += 1
        return self._found[at]

    def expect(self, kind: Kind, where: str) -> Token:
        token = self.next_word()
        if token.kind is not kind:
            raise self.unexpected(token, where)
        return token

    def unexpected(self, token: Token, where: str) -> TemplateError:
        return self.error(f"unexpected {token} in {where}", token.line)

    def error(self, message: str, line: int, hint: str = "") -> TemplateError:
        return TemplateError(message, self.name, line, hint)


class _Parser:
    """Parses one template; variables and loops of another one do not reach into it."""

    def __init__(self, reader: _Tokens, parsed: Parsed) -> None:
        self._reader = reader
        self._parsed = parsed
        self._variables = ["$"]
        self._loops = 0
        self._depth = 0

    def definition(self) -> None:
        """`{{define "name"}} … {{end}}`, from its delimiter."""
        line = self._reader.next().line
        self._reader.next_word()
        name = self._string("define")
        self._reader.expect(Kind.CLOSE, "define")
        self._define_to_end(name, line)

    def _define_to_end(self, name: str, line: int) -> None:
        body, stop = self._body(line)
        if stop.word != "end":
            raise self._reader.error(f"unexpected {{{{else}}}} in the template {name!r}", stop.line)
        _define(self._parsed, self._reader, name, body, line)

    def node(self) -> Node | _Stop:
        """A text or an action."""
        token = self._reader.next_word()
        match token.kind:
            case Kind.TEXT:
                return Text(token.text, token.line)
            case Kind.OPEN:
                return self._action(token.line)
            case _:
                raise self._reader.unexpected(token, "the template")

    def _action(self, line: int) -> Node | _Stop:
        token = self._reader.skip_space()
        if token.kind is not Kind.KEYWORD or token.text == "define":
            return Action(self._pipeline("an action", Kind.CLOSE), line)
        self._reader.next()
        match token.text:
            case "end":
                self._reader.expect(Kind.CLOSE, "end")
                return _Stop("end", "", line)
            case "else":
                return self._else(line)
            case "break" | "continue" as word:
                self._reader.expect(Kind.CLOSE, word)
                if not self._loops:
                    raise self._reader.error(f"{{{{{word}}}}} outside a range", line)
                return Break(line) if word == "break" else Continue(line)
            case "template":
                return self._template(line)
            case "block":
                return self._block(line)
            case word:
                return self._control(word, line)

    def _else(self, line: int) -> _Stop:
        token = self._reader.skip_space()
        if token.kind is Kind.KEYWORD and token.text in ("if", "with"):
            self._reader.next()
            return _Stop("else", token.text, line)
        self._reader.expect(Kind.CLOSE, "else")
        return _Stop("else", "", line)

    def _control(self, word: str, line: int) -> If | Range | With:
        self._deeper(line)
        visible = len(self._variables)
        pipeline = self._pipeline(word, Kind.CLOSE)
        self._loops += word == "range"
        body, stop = self._body(line)
        self._loops -= word == "range"
        otherwise: Body = ()
        if stop.word == "else":
            otherwise = self._otherwise(word, stop)
        del self._variables[visible:]
        self._depth -= 1
        return _CONTROLS[word](pipeline, body, otherwise, line)

    def _otherwise(self, word: str, stop: _Stop) -> Body:
        if stop.control:
            if stop.control != word:
                raise self._reader.error(f"{{{{else {stop.control}}}}} after {{{{{word}}}}}", stop.line)
            return (self._control(word, stop.line),)
        body, end = self._body(stop.line)
        if end.word != "end":
            raise self._reader.error("expected {{end}}, found {{else}}", end.line)
        return body

    def _body(self, line: int) -> tuple[Body, _Stop]:
        """The nodes up to `end` or `else`; `line` is where what they close was opened."""
        nodes: list[Node] = []
        while self._reader.skip_space().kind is not Kind.END:
            node = self.node()
            if isinstance(node, _Stop):
                return tuple(nodes), node
            nodes.append(node)
        raise self._reader.error("this block is never closed", line, "close it with {{end}}")

    def _template(self, line: int) -> Call:
        name = self._string("template")
        if self._reader.skip_space().kind is Kind.CLOSE:
            self._reader.next()
            return Call(name, None, line)
        return Call(name, self._pipeline("template", Kind.CLOSE), line)

    def _block(self, line: int) -> Call:
        name = self._string("block")
        pipeline = self._pipeline("block", Kind.CLOSE)
        _Parser(self._reader, self._parsed)._define_to_end(name, line)
        return Call(name, pipeline, line)

    def _string(self, where: str) -> str:
        token = self._reader.next_word()
        if token.kind not in (Kind.STRING, Kind.RAW):
            raise self._reader.unexpected(token, where)
        return self._unquoted(token)

    def _unquoted(self, token: Token) -> str:
        try:
            return literals.unquote(token.text)
        except ValueError as problem:
            raise self._reader.error(str(problem), token.line) from None

    def _pipeline(self, where: str, end: Kind) -> Pipeline:
        line = self._reader.skip_space().line
        declared, assigned = self._declared(where)
        commands: list[Command] = []
        while True:
            token = self._reader.skip_space()
            if token.kind is end:
                self._reader.next()
                break
            commands.append(self._command(where))
        if not commands:
            raise self._reader.error(f"missing value for {where}", line)
        for place, command in enumerate(commands[1:], start=2):
            if isinstance(command[0], Literal | Nil | Dot):
                raise self._reader.error(f"part {place} of a pipeline is no function", line)
        return Pipeline(tuple(commands), declared, assigned, line)

    def _declared(self, where: str) -> tuple[tuple[str, ...], bool]:
        """The variables a pipeline sets, and whether they must be there already."""
        names: list[str] = []
        while self._reader.skip_space().kind is Kind.VARIABLE:
            variable = self._reader.peek()
            follows = self._reader.after_variable()
            if follows.kind not in (Kind.ASSIGN, Kind.DECLARE, Kind.COMMA):
                break
            self._reader.next()
            self._reader.next_word()
            names.append(variable.text)
            self._variables.append(variable.text)
            if follows.kind is not Kind.COMMA:
                return tuple(names), follows.kind is Kind.ASSIGN
            if where != "range" or len(names) > 1:
                raise self._reader.error(f"too many variables in {where}", variable.line)
            if self._reader.skip_space().kind not in (Kind.VARIABLE, Kind.CLOSE):
                raise self._reader.error("range can only set variables", variable.line)
        return tuple(names), False

    def _command(self, where: str) -> Command:
        operands: list[Operand] = []
        while True:
            self._reader.skip_space()
            operand = self._operand()
            if operand is not None:
                operands.append(operand)
            token = self._reader.peek()
            if token.kind is Kind.SPACE:
                continue
            if token.kind is Kind.PIPE:
                self._reader.next()
            elif token.kind not in (Kind.CLOSE, Kind.RIGHT) or not operands:
                raise self._reader.unexpected(token, where)
            break
        if not operands:
            raise self._reader.error("empty command", token.line)
        return tuple(operands)

    def _operand(self) -> Operand | None:
        term = self._term()
        if term is None or self._reader.peek().kind is not Kind.FIELD:
            return term
        names: list[str] = []
        while self._reader.peek().kind is Kind.FIELD:
            names.append(self._reader.next().text[1:])
        match term:
            case Field():
                return Field((*term.names, *names), term.line)
            case Variable():
                return Variable(term.name, (*term.names, *names), term.line)
            case Pipeline() | Function():
                return Chain(term, tuple(names), term.line)
            case _:
                raise self._reader.error(f"unexpected '.{names[0]}' after a value", term.line)

    def _term(self) -> Operand | None:
        token = self._reader.peek()
        match token.kind:
            case Kind.NAME:
                self._parsed.functions.setdefault(token.text, token.line)
                term: Operand = Function(token.text, token.line)
            case Kind.DOT:
                term = Dot(token.line)
            case Kind.NIL:
                term = Nil(token.line)
            case Kind.VARIABLE:
                term = self._variable(token)
            case Kind.FIELD:
                term = Field((token.text[1:],), token.line)
            case Kind.BOOL:
                term = Literal(token.text == "true", token.line)
            case Kind.STRING | Kind.RAW:
                term = Literal(self._unquoted(token), token.line)
            case Kind.NUMBER | Kind.CHAR:
                term = self._number(token)
            case Kind.LEFT:
                self._deeper(token.line)
                self._reader.next()
                term = self._pipeline("parentheses", Kind.RIGHT)
                self._depth -= 1
                return term
            case _:
                return None
        self._reader.next()
        return term

    def _variable(self, token: Token) -> Variable:
        if token.text not in self._variables:
            known = ", ".join(dict.fromkeys(self._variables))
            hint = f"these are defined here: {known}"
            raise self._reader.error(f"undefined variable {token.text!r}", token.line, hint)
        return Variable(token.text, (), token.line)

    def _number(self, token: Token) -> Literal:
        try:
            if token.kind is Kind.CHAR:
                code = literals.character(token.text)
                return Literal(code, token.line, code)
            value, whole = literals.number(token.text)
        except ValueError as problem:
            raise self._reader.error(str(problem), token.line) from None
        return Literal(value, token.line, whole)

    def _deeper(self, line: int) -> None:
        self._depth += 1
        if self._depth > _NESTING:
            raise self._reader.error(f"nested more than {_NESTING} deep", line)
