"""Runs the tree of a template over data, by Go's rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, assert_never
from typing import Literal as OneOf

from meshctl.gotemplate import calling, printing, values
from meshctl.gotemplate.calling import Signature, conform
from meshctl.gotemplate.errors import CallError, TemplateError
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
    Operand,
    Pipeline,
    Range,
    Text,
    Variable,
    With,
)
from meshctl.gotemplate.values import ANY, MISSING, Struct

MissingKey: TypeAlias = OneOf["default", "zero", "error"]
_NESTING = 100  # templates inside each other
_NOTHING: Final = object()  # no value comes from the left of the pipe
_PANICS = (ValueError, TypeError, LookupError, ArithmeticError)  # what Go too turns into an error of the call


class _BreakLoop(Exception):  # noqa: N818 - a jump, no error
    pass


class _ContinueLoop(Exception):  # noqa: N818 - a jump, no error
    pass


class Evaluation:
    """One run: what all templates of a text share, and the text made so far.

    Args:
        name: the template's, for errors.
        definitions: the templates it may run.
        functions: what it may call; `and` and `or` are not among them, they are evaluated here.
        missing_key: what the field of a map is that has none.
    """

    def __init__(
        self,
        name: str,
        definitions: Mapping[str, Body],
        functions: Mapping[str, Callable[..., object]],
        missing_key: MissingKey,
    ) -> None:
        self.name = name
        self.definitions = definitions
        self.functions = functions
        self.missing_key = missing_key
        self.out: list[str] = []
        self._signatures: dict[str, Signature] = {}

    def signature(self, name: str) -> Signature:
        """The signature of a function, asked of Python once."""
        if name not in self._signatures:
            self._signatures[name] = calling.signature(self.functions[name])
        return self._signatures[name]

    def run(self, name: str, data: object, line: int, depth: int = 0) -> None:
        """Run a template of the text with `data` as its dot."""
        if name not in self.definitions:
            raise TemplateError(
                f"no template {name!r} is defined", self.name, line, "define it in the same text"
            )
        if depth > _NESTING:
            raise TemplateError(f"templates nested more than {_NESTING} deep", self.name, line)
        data = MISSING if data is None else data
        _Frame(self, data, depth).walk(self.definitions[name], data)


class _Frame:
    """A template that runs: its variables."""

    def __init__(self, run: Evaluation, data: object, depth: int) -> None:
        self._run = run
        self._depth = depth
        self._variables: list[tuple[str, object]] = [("$", data)]

    def walk(self, body: Body, dot: object) -> None:
        for node in body:
            match node:
                case Text():
                    self._run.out.append(node.text)
                case Action():
                    self._action(node, dot)
                case If() | With():
                    self._choose(node, dot)
                case Range():
                    self._loop(node, dot)
                case Call():
                    data = MISSING if node.pipeline is None else self._pipeline(node.pipeline, dot)
                    self._run.run(node.name, data, node.line, self._depth + 1)
                case Break():
                    raise _BreakLoop
                case Continue():
                    raise _ContinueLoop
                case _:
                    assert_never(node)

    def _action(self, node: Action, dot: object) -> None:
        value = self._pipeline(node.pipeline, dot)
        if not node.pipeline.declared:
            if values.kind(value) == "func":
                raise self._error("a function cannot be printed", node.line)
            self._run.out.append("<no value>" if value is MISSING else printing.top(value))

    def _choose(self, node: If | With, dot: object) -> None:
        visible = len(self._variables)
        value = self._pipeline(node.pipeline, dot)
        if values.truth(value):
            self.walk(node.body, value if isinstance(node, With) else dot)
        else:
            self.walk(node.otherwise, dot)
        del self._variables[visible:]

    def _loop(self, node: Range, dot: object) -> None:
        visible = len(self._variables)
        value = self._pipeline(node.pipeline, dot)
        inner = len(self._variables)
        with suppress(_BreakLoop):
            empty = True
            for index, element in self._elements(value, node):
                empty = False
                self._set_loop_variables(node.pipeline, index, element, inner)
                with suppress(_ContinueLoop):
                    self.walk(node.body, element)
                del self._variables[inner:]
            if empty:
                self.walk(node.otherwise, dot)
        del self._variables[visible:]

    def _elements(self, value: object, node: Range) -> Iterator[tuple[object, object]]:
        """Pairs of index and element; over a number, the numbers below it."""
        match value:
            case dict():
                return iter(sorted(value.items()))
            case list() | tuple():
                return enumerate(value)
            case int() if not isinstance(value, bool):
                if len(node.pipeline.declared) > 1:
                    raise self._error("a range over a number has one variable", node.line)
                return ((MISSING, type(value)(number)) for number in range(value))
            case values.Missing():
                return iter(())
            case _:
                raise self._error(f"range cannot go through a {values.go_type(value)}", node.line)

    def _set_loop_variables(self, pipeline: Pipeline, index: object, element: object, inner: int) -> None:
        names = pipeline.declared
        found = (element,) if len(names) == 1 else (index, element)
        for place, name in enumerate(names):
            if pipeline.assigned:
                self._assign(name, found[place], pipeline.line)
            else:
                self._variables[inner - len(names) + place] = (name, found[place])

    def _assign(self, name: str, value: object, line: int) -> None:
        for place in range(len(self._variables) - 1, -1, -1):
            if self._variables[place][0] == name:
                self._variables[place] = (name, value)
                return
        raise self._error(f"undefined variable {name!r}", line, "declare it with := first")

    def _pipeline(self, pipeline: Pipeline, dot: object) -> object:
        value: object = _NOTHING
        for command in pipeline.commands:
            value = self._command(command, dot, value)
            if value is None:  # out of the interface that held it, a nil is no value
                value = MISSING
        for name in pipeline.declared:
            if pipeline.assigned:
                self._assign(name, value, pipeline.line)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, command: Command, dot: object, final: object) -> object:
        first, arguments = command[0], command[1:]
        match first:
            case Function():
                return self._function(first, arguments, dot, final)
            case Field():
                return self._fields(dot, first.names, first.line, arguments, dot, final)
            case Variable() if first.names:
                return self._fields(self._variable(first), first.names, first.line, arguments, dot, final)
            case Chain():
                receiver = self._operand(first.base, dot)
                return self._fields(receiver, first.names, first.line, arguments, dot, final)
            case _ if arguments or final is not _NOTHING:
                raise self._error("only a function or a method takes arguments", first.line)
            case Nil():
                raise self._error("nil is no command", first.line)
            case _:
                return self._operand(first, dot)

    def _operand(self, operand: Operand, dot: object) -> object:
        """The value of an operand where any type will do; `None` and `MISSING` are told apart."""
        match operand:
            case Literal():
                return operand.value
            case Nil():
                return None
            case Dot():
                return dot
            case Field():
                return self._fields(dot, operand.names, operand.line, (), dot, _NOTHING)
            case Variable():
                value = self._variable(operand)
                return self._fields(value, operand.names, operand.line, (), dot, _NOTHING)
            case Function():
                return self._function(operand, (), dot, _NOTHING)
            case Chain():
                value = self._operand(operand.base, dot)
                return self._fields(value, operand.names, operand.line, (), dot, _NOTHING)
            case Pipeline():
                return self._pipeline(operand, dot)
            case _:
                assert_never(operand)

    def _variable(self, variable: Variable) -> object:
        for name, value in reversed(self._variables):
            if name == variable.name:
                return value
        raise self._error(f"undefined variable {variable.name!r}", variable.line)

    def _fields(
        self,
        receiver: object,
        names: Sequence[str],
        line: int,
        arguments: Command,
        dot: object,
        final: object,
    ) -> object:
        """Field after field; the last one may be a method and gets the arguments."""
        last = len(names) - 1
        for place, name in enumerate(names):
            given = (arguments, final) if place == last else ((), _NOTHING)
            receiver = self._field(receiver, name, line, given[0], dot, given[1])
        return receiver

    def _field(
        self, receiver: object, name: str, line: int, arguments: Command, dot: object, final: object
    ) -> object:
        if receiver is MISSING:
            if self._run.missing_key == "error":
                raise self._error(f"there is no value to take {name!r} of", line)
            return MISSING
        if isinstance(receiver, Struct):
            method = receiver.method(name)
        else:
            method = receiver.methods.get(name) if isinstance(receiver, values.Nil) else None
        if method is not None:
            return self._call(name, method, calling.signature(method), arguments, dot, final, line)
        if receiver is None or isinstance(receiver, values.Nil):
            found = ANY if receiver is None else values.go_type(receiver)
            hint = "guard it with {{if}} or {{with}}"
            raise self._error(f"nil pointer evaluating {found}.{name}", line, hint)
        has_arguments = bool(arguments) or final is not _NOTHING
        if isinstance(receiver, dict):
            if has_arguments:
                raise self._error(f"{name!r} is no method, but has arguments", line)
            return receiver[name] if name in receiver else self._absent(receiver, name, line)
        if isinstance(receiver, Struct):
            try:
                value = receiver.field(name)
            except KeyError:
                pass
            else:
                if has_arguments:
                    raise self._error(f"{name!r} is no method, but has arguments", line)
                return value
        raise self._error(f"there is no field {name!r} in a {values.go_type(receiver)}", line)

    def _absent(self, receiver: dict[str, object], name: str, line: int) -> object:
        if self._run.missing_key == "error":
            raise self._error(f"the map has no entry {name!r}", line)
        if self._run.missing_key == "zero":
            return values.zero(getattr(receiver, "element", ANY))
        return MISSING

    def _function(self, node: Function, arguments: Command, dot: object, final: object) -> object:
        if node.name in ("and", "or") and node.name not in self._run.functions:
            return self._short_circuit(node, arguments, dot, final)
        function = self._run.functions[node.name]
        signature = self._run.signature(node.name)
        return self._call(node.name, function, signature, arguments, dot, final, node.line)

    def _short_circuit(self, node: Function, arguments: Command, dot: object, final: object) -> object:
        value: object = final
        for argument in arguments:
            value = self._operand(argument, dot)
            if values.truth(value) == (node.name == "or"):
                return value
        if value is _NOTHING:
            raise self._error(f"{node.name!r} wants at least 1 argument, got 0", node.line)
        return value if final is _NOTHING else final

    def _call(
        self,
        name: str,
        function: Callable[..., object],
        signature: Signature,
        arguments: Command,
        dot: object,
        final: object,
        line: int,
    ) -> object:
        count = len(arguments) + (final is not _NOTHING)
        if not signature.takes(count):
            raise self._error(f"{name!r} wants {signature.wants()} arguments, got {count}", line)
        given = [self._argument(each, signature.type_of(i), name, dot) for i, each in enumerate(arguments)]
        if final is not _NOTHING:
            given.append(self._conformed(final, signature.type_of(count - 1), name, line))
        try:
            return function(*given)
        except CallError as problem:
            raise self._error(f"{name!r}: {problem}", line, problem.hint) from problem
        except _PANICS as problem:
            raise self._error(f"{name!r}: {problem}", line) from problem

    def _argument(self, operand: Operand, wanted: str, name: str, dot: object) -> object:
        if isinstance(operand, Literal):
            return self._literal(operand, wanted, name)
        if isinstance(operand, Nil):
            return self._conformed(MISSING, wanted, name, operand.line)
        return self._conformed(self._operand(operand, dot), wanted, name, operand.line)

    def _literal(self, literal: Literal, wanted: str, name: str) -> object:
        """A literal takes the type of its parameter."""
        value = literal.value
        if wanted in (ANY, calling.VALUE):
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if wanted == "int" and literal.integer is not None:
            return literal.integer
        if wanted == "float64" and number:
            return float(value)
        if (wanted, type(value)) in (("string", str), ("bool", bool)):
            return value
        raise self._error(f"{name!r}: expected {wanted}, found {value!r}", literal.line)

    def _conformed(self, value: object, wanted: str, name: str, line: int) -> object:
        try:
            return conform(value, wanted)
        except ValueError as problem:
            raise self._error(f"{name!r}: {problem}", line) from None

    def _error(self, message: str, line: int, hint: str = "") -> TemplateError:
        return TemplateError(message, self._run.name, line, hint)
