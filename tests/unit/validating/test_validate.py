"""`meshctl validate`: every problem of a file with its line, and what was not looked at is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Say = Callable[..., Any]

HEAD = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication"}
VIRTUAL_SERVICE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
"""
GOOD = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: right}
spec: {}
"""
BAD = """\
# what reviews get
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: reviews
  http:
  - route:
    - destination:
        host: reviews
        prt: {number: 80}
      weight: '50'
    timeout: 5
"""
LIST = """\
apiVersion: v1
kind: List
items:
- apiVersion: security.istio.io/v1
  kind: PeerAuthentication
  metadata: {name: right}
- apiVersion: security.istio.io/v1
  kind: PeerAuthentication
  metadata: {name: wrong}
  spec:
    mtl: {}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(meshctl: Say, *words: str) -> list[str]:
    """`place code` of each problem."""
    said = meshctl("validate", *words, "-o", "json")
    problems = json.loads(said.out)["problems"]
    assert said.code == (3 if problems else 0)
    return [f"{each['where']['file']}:{each['where']['line']} {each['code']}" for each in problems]


def test_every_problem_is_told_with_its_line(meshctl: Say) -> None:
    Path("in.yaml").write_text(BAD)
    said = meshctl("validate", "-f", "in.yaml")
    assert said.code == 3
    assert [line for line in said.out.splitlines() if line.startswith("x ")] == [
        "x in.yaml:7  spec.hosts",
        "x in.yaml:12  spec.http[0].route[0].destination.prt",
        "x in.yaml:13  spec.http[0].route[0].weight",
        "x in.yaml:14  spec.http[0].timeout",
    ]
    assert "did you mean 'port'?" in said.out
    assert "hint: write it without quotes" in said.out
    assert "4 problems; 1 Istio object (1 VirtualService) checked in 1 file" in said.out


def test_a_right_file_is_said_to_be_so(meshctl: Say) -> None:
    Path("in.yaml").write_text(GOOD)
    said = meshctl("validate", "in.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("no problems; 1 Istio object (1 PeerAuthentication) checked")


FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", []),
    "comments": ("# nothing\n# here\n", []),
    "null documents": ("---\n---\nnull\n---\n~\n", []),
    "Windows' line ends and mark": (
        b"\xef\xbb\xbf" + GOOD.replace("spec: {}", "spec: {a: 1}").replace("\n", "\r\n").encode(),
        ["4 unknown-field"],
    ),
    "UTF-16": (GOOD.replace("{}", "{a: 1}").encode("utf-16"), ["4 unknown-field"]),
    "several documents": (
        f"{GOOD}---\n# next\n{BAD}---\n",
        ["13 wrong-type", "18 unknown-field", "19 wrong-type", "20 wrong-type"],
    ),
    "a list": (LIST, ["11 unknown-field"]),
    "a list of one kind": (
        GOOD.partition("kind")[0]
        + "kind: PeerAuthenticationList\nitems:\n- metadata: {name: a}\n  spec: {a: 1}\n",
        ["5 unknown-field"],
    ),
    "a list with something else in it": (
        "apiVersion: v1\nkind: List\nitems:\n- just text\n",
        ["4 not-an-object"],
    ),
    "JSON": (
        json.dumps({**HEAD, "metadata": {"name": "a"}, "spec": {"a": 1}}, indent="\t"),
        ["8 unknown-field"],
    ),
    "JSON beyond 16 bits": (
        json.dumps(
            {**HEAD, "metadata": {"name": "a", "annotations": {"a": "\N{SAILBOAT}\N{GRINNING FACE}"}}}
        ),
        [],
    ),
    "an anchor": (
        f"{VIRTUAL_SERVICE}  hosts: &h [a, 1]\n  gateways: *h\n  http: [{{redirect: {{uri: /}}}}]\n",
        ["5 wrong-type", "5 wrong-type"],
    ),
    "a merge": (
        f"{VIRTUAL_SERVICE}  hosts: [a]\n  http:\n  - &r\n"
        "    redirect: {uri: /}\n  - <<: *r\n    timeout: 5\n",
        ["10 wrong-type"],
    ),
    "an anchor that holds itself": ("a: &a\n  b: *a\n", ["None bad-yaml"]),
    "a merge with itself": ("a: &a\n  <<: *a\n", ["None bad-yaml"]),
    "nested too deep": (f"a: {'[' * 5000}{']' * 5000}", ["None bad-yaml"]),
    "aliases of aliases": (
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
        ["1 bad-yaml"],
    ),
    "no YAML": ("a: [1\nb: 2\n", ["2 bad-yaml"]),
    "a key said twice": (f"{GOOD}spec: {{}}\n", ["5 duplicate-key"]),
    "a template": ("kind: Sidecar\nmetadata:\n  name: {{ .Values.name }}\n", ["3 bad-yaml"]),
    "no text": (bytes(range(256)), ["None bad-yaml"]),
    "a text": ("hello\n", ["1 not-an-object"]),
    "a list of its own": ("- a\n", ["1 not-an-object"]),
    "no kind": ("apiVersion: networking.istio.io/v1\n", ["1 not-an-object"]),
    "a kind that is no text": ("apiVersion: v1\nkind: [a]\n", ["2 not-an-object"]),
    "metadata that is no map": ("apiVersion: v1\nkind: Service\nmetadata: []\n", ["3 not-an-object"]),
    "a setting of an install": (
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  values: {pilots: {}}\n",
        ["4 unknown-value"],
    ),
    "an install of another time": ("apiVersion: v1\nkind: IstioOperator\n", ["1 not-an-istiooperator"]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_strange_file_is_read_or_refused_at_its_line(name: str, meshctl: Say) -> None:
    text, expected = FILES[name]
    Path("in.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert found(meshctl, "in.yaml") == [f"in.yaml:{each}" for each in expected]


def test_a_template_is_told_to_be_rendered_first(meshctl: Say) -> None:
    Path("in.yaml").write_text("kind: Sidecar\n{{- if .Values.on }}\nmetadata: {}\n{{- end }}\n")
    assert "render it first" in meshctl("validate", "in.yaml").out


def test_standard_input_is_read(meshctl: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LIST.encode())))
    assert found(meshctl, "-f", "-") == ["<stdin>:11 unknown-field"]


def test_a_folder_is_read_with_all_below_it_but_what_is_hidden_or_is_no_object(meshctl: Say) -> None:
    for name in ("a.yaml", "sub/b.yml", "sub/c.json", ".git/d.yaml", "sub/.e.yaml", "notes.txt"):
        Path("in", name).parent.mkdir(parents=True, exist_ok=True)
        Path("in", name).write_text(GOOD.replace("{}", "{a: 1}"))
    Path("in/values.yaml").write_text("replicas: 1\n")
    assert [each.split(":")[0] for each in found(meshctl, "-f", "in")] == [
        "in/a.yaml",
        "in/sub/b.yml",
        "in/sub/c.json",
    ]
    assert "1 document without apiVersion and kind left alone" in meshctl("validate", "in").out


def test_a_file_named_twice_is_read_once(meshctl: Say) -> None:
    Path("in.yaml").write_text(BAD)
    assert len(found(meshctl, "in.yaml", "-f", "in.yaml", "-f", ".")) == 4


def test_objects_of_other_apis_are_counted_and_left_alone(meshctl: Say) -> None:
    Path("in.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: nonsense\n")
    said = meshctl("validate", "in.yaml")
    assert said.code == 0
    assert "no Istio objects checked" in said.out
    assert "1 object (1 Service) of other APIs left alone: their shape is not checked" in said.out


def test_the_istio_that_will_read_them_decides(meshctl: Say) -> None:
    gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec:\n  servers:\n"
    server = "  - {hosts: [a], port: {number: 1, name: a, protocol: TLS}, tls: {insecureSkipVerify: true}}\n"
    Path("in.yaml").write_text(gateway + server)
    assert found(meshctl, "in.yaml", "--istio-version", "1.31") == []
    assert found(meshctl, "in.yaml", "--istio-version", "1.30") == ["in.yaml:6 unknown-field"]


def test_a_rule_that_could_not_be_evaluated_is_told(meshctl: Say) -> None:
    ports = "".join(f"  - {{number: {number}, name: p{number}, protocol: TCP}}\n" for number in range(1, 200))
    head = VIRTUAL_SERVICE.replace("VirtualService", "ServiceEntry")
    Path("in.yaml").write_text(f"{head}  hosts: [a]\n  ports:\n{ports}")
    assert "! a rule was not evaluated" in meshctl("validate", "in.yaml").out
    data = json.loads(meshctl("validate", "in.yaml", "-o", "json").out)
    assert "exists_one" in data["rulesNotEvaluated"][0]["rule"]


@pytest.mark.parametrize("words", [(), ("no-such.yaml",), ("empty",)])
def test_nothing_to_read_is_a_fault_of_the_command_line(words: tuple[str, ...], meshctl: Say) -> None:
    Path("empty").mkdir()
    assert meshctl("validate", *words).code == 2


def test_settings_of_an_install_are_checked_as_an_install_checks_them(meshctl: Say) -> None:
    mesh = (
        "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: m}\nspec:\n  clusters:\n  - name: a\n"
    )
    Path("mesh.yaml").write_text(f"{mesh}    values:\n      pilot: {{traceSampling: lots}}\n  - name: b\n")
    assert found(meshctl, "mesh.yaml") == ["mesh.yaml:8 wrong-type"]
    install = "apiVersion: install.istio.io/v1alpha1\n  kind: IstioOperator\n  spec: {profil: demo}\n"
    Path("list.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n- {install}")
    assert found(meshctl, "list.yaml") == ["list.yaml:6 unknown-field"]


def test_the_same_files_give_the_same_words(meshctl: Say) -> None:
    Path("b.yaml").write_text(BAD)
    Path("a.yaml").write_text(LIST)
    assert meshctl("validate", ".").out == meshctl("validate", "-f", ".").out
