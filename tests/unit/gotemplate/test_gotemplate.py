"""What istiod's templates can count on: Go's rules for values that JSON does not have, and clear errors.

That templates over JSON make what Go makes of them is proved in `tests/parity/test_gotemplate.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshctl.gotemplate import (
    CallError,
    Int32,
    Int64,
    List,
    Map,
    Nil,
    Struct,
    TemplateError,
    Value,
    as_json,
    parse,
)
from meshctl.gotemplate.evaluate import MissingKey


def rendered(text: str, data: object = None, **functions: Callable[..., object]) -> str:
    return parse(text, "sidecar").render(data, functions=functions)


def refused(text: str, data: object = None, **functions: Callable[..., object]) -> TemplateError:
    with pytest.raises(TemplateError) as raised:
        rendered(text, data, **functions)
    return raised.value


def test_an_error_of_syntax_tells_the_template_and_the_line() -> None:
    error = refused("one\n{{ if .a }}\nthree")
    assert (str(error.where), error.code, error.exit_code) == ("sidecar:2", "bad-template", 2)
    assert error.hint == "close it with {{end}}"


def test_an_error_of_evaluation_tells_the_line_behind_text_that_was_trimmed() -> None:
    error = refused("a\n\n  {{- 1 -}}\n\n\nb\n{{ .x.y }}", {"x": 1})
    assert str(error.where) == "sidecar:7"
    assert "'y'" in error.message


def test_an_unknown_function_is_told_with_the_nearest_one_even_where_it_is_not_called() -> None:
    error = refused("{{ if false }}\n{{ defualt 1 2 }}{{ end }}")
    assert error.hint == "did you mean 'default'?"
    assert str(error.where) == "sidecar:2"


def test_an_undefined_variable_is_told_with_those_there_are() -> None:
    assert "$, $port" in refused("{{ $port := 1 }}{{ $prot }}").hint


@pytest.mark.parametrize("name", ["now", "env", "randAlpha", "uuidv4", "genCA", "date"])
def test_a_function_that_needs_istiods_surroundings_is_refused_only_when_it_runs(name: str) -> None:
    assert rendered(f"{{{{ if false }}}}{{{{ {name} }}}}{{{{ end }}}}ok") == "ok"
    assert "outside istiod" in refused(f"{{{{ {name} }}}}").message


def test_fail_says_the_words_of_the_template() -> None:
    assert "no such port" in refused('{{ fail "no such port" }}').message


def test_a_function_of_the_caller_comes_before_one_of_sprig() -> None:
    assert rendered('{{ contains "a" "b" }}', contains=lambda left, right: f"{left}{right}") == "ab"


def test_a_function_says_its_types_by_its_annotations() -> None:
    def port(name: str, number: int) -> str:
        return f"{name}:{number + 1}"

    assert rendered('{{ port "http" 80 }} {{ .n | port "x" }}', {"n": 8}, port=port) == "http:81 x:9"
    assert "expected int" in refused('{{ port "http" "80" }}', port=port).message
    assert "int64" in refused('{{ port "http" .n }}', {"n": Int64(80)}, port=port).message
    assert "2 arguments" in refused('{{ port "http" }}', port=port).message


def test_a_function_may_tell_no_value_from_nil() -> None:
    def told(value: Value) -> str:
        return repr(value)

    assert rendered("{{ told .absent }} {{ told .null }}", {"null": None}, told=told) == "MISSING None"


def test_the_error_of_a_function_gets_its_place_and_keeps_its_hint() -> None:
    def annotation(value: object) -> str:
        raise CallError("no such annotation", "add it")

    error = refused("\n{{ annotation 1 }}", annotation=annotation)
    assert (str(error.where), error.hint) == ("sidecar:2", "add it")
    assert "'annotation': no such annotation" in error.message


def test_fields_and_methods_of_a_struct_are_found_and_others_refused() -> None:
    tracing = Struct("*v1.Tracing", {"Sampling": 1.5}, {"GetTag": lambda name: f"tag-{name}"})
    data = Struct("inject.Data", {"ProxyConfig": Struct("*v1.ProxyConfig", {"Tracing": tracing})})
    assert (
        rendered('{{ .ProxyConfig.Tracing.Sampling }} {{ .ProxyConfig.Tracing.GetTag "a" }}', data)
        == "1.5 tag-a"
    )
    assert rendered('{{ "b" | .ProxyConfig.Tracing.GetTag }}', data) == "tag-b"
    assert "no field 'Nope'" in refused("{{ .ProxyConfig.Nope }}", data).message


def test_a_nil_pointer_is_empty_and_has_no_fields_but_may_have_methods() -> None:
    data = {"Probe": Nil("*v1.Probe", {"GetPort": lambda: 0})}
    assert rendered("{{ if .Probe }}a{{ else }}b{{ end }}{{ .Probe.GetPort }}{{ .Probe }}", data) == "b0<nil>"
    error = refused("{{ .Probe.Port }}", data)
    assert "nil pointer evaluating *v1.Probe.Port" in error.message
    assert error.hint


def test_an_absent_key_of_a_map_of_strings_is_empty_by_index_and_no_value_by_name() -> None:
    data = {"labels": Map({"a": "b"}, "string")}
    assert (
        rendered('{{ index .labels "x" }}|{{ .labels.x }}|{{ index .labels "a" }}', data) == "|<no value>|b"
    )


def test_a_map_of_strings_does_for_a_function_only_if_it_wants_one() -> None:
    def isset(found: dict[str, str], key: str) -> bool:
        return key in found

    assert rendered('{{ isset .m "a" }}', {"m": Map({"a": ""}, "string")}, isset=isset) == "true"
    assert rendered('{{ isset .absent "a" }}', {}, isset=isset) == "false"
    assert "map[string]interface {}" in refused('{{ isset .m "a" }}', {"m": {}}, isset=isset).message


def test_numbers_print_as_those_of_their_go_types() -> None:
    data = {"float": as_json(15021), "large": as_json(1500000), "int": 1500000, "int32": Int32(7)}
    assert rendered("{{ .float }} {{ .large }} {{ .int }} {{ .int32 }}", data) == "15021 1.5e+06 1500000 7"
    assert (
        rendered("{{ kindOf .float }} {{ kindOf .int32 }} {{ toJson .large }}", data)
        == "float64 int32 1500000"
    )


def test_a_struct_with_a_text_prints_it_and_another_prints_its_fields() -> None:
    duration = Struct("*durationpb.Duration", {"Seconds": Int64(5)}, text="5s")
    assert rendered("{{ . }} {{ . | quote }}", duration) == '5s "5s"'
    pair = Struct("main.Pair", {"A": 1, "B": List(["x"], "string")})
    assert rendered('{{ . }} {{ printf "%+v" . }}', pair) == "{1 [x]} {A:1 B:[x]}"


def test_bytes_that_are_no_text_go_through_unchanged() -> None:
    made = rendered('{{ trunc 1 "é" }}{{ "/w==" | b64dec }}')
    assert made.encode("utf-8", "surrogateescape") == b"\xc3\xff"


@pytest.mark.parametrize(("mode", "made"), [("default", "<no value>"), ("zero", "")])
def test_a_missing_key_is_what_the_option_says(mode: MissingKey, made: str) -> None:
    assert parse("{{ .x }}", "t").render(Map({}, "string"), missing_key=mode) == made


def test_a_missing_key_may_be_an_error() -> None:
    with pytest.raises(TemplateError, match="no entry 'x'"):
        parse("{{ .x }}", "t").render({}, missing_key="error")


def test_a_template_without_end_is_refused() -> None:
    assert "nested" in refused('{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}').message
    assert "nested" in refused("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}").message
    assert "nested" in refused("{{ if 1 }}" * 5000).message


def test_a_template_renders_again_and_again_with_the_same_result() -> None:
    template = parse('{{ $l := list }}{{ range .a }}{{ $l = append $l . }}{{ end }}{{ join "," $l }}', "t")
    assert [template.render({"a": [1, 2]}) for _ in range(2)] == ["1,2", "1,2"]
