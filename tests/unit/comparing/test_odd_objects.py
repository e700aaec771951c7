"""Files hold what they hold: anything that reads as an object can be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.actions.diff import from_files
from meshctl.stages.comparing.objects_difference import compare

ODD = {
    "no metadata": "metadata:",
    "a name that is a number": "metadata: {name: 5, namespace: 7}",
    "labels that are null": "metadata: {name: a, labels: null, annotations: []}",
    "data that is text": "metadata: {name: a}\ndata: nonsense",
    "text data that is a list": "metadata: {name: a}\nstringData: [planted, 2]",
    "containers of all sorts": "spec: {containers: [1, {name: a}, {name: a}, null]}",
    "a protocol that is a map": "spec: {ports: {protocol: {a: 1}}}",
}


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "Deployment"])
@pytest.mark.parametrize("what", ODD)
def test_an_odd_object_can_be_compared(what: str, kind: str, tmp_path: Path) -> None:
    odd, plain = tmp_path / "odd.yaml", tmp_path / "plain.yaml"
    name = "{name: '5', namespace: '7'}" if "number" in what else "{name: a}"
    odd.write_text(f"apiVersion: v1\nkind: {kind}\n{ODD[what]}\n")
    plain.write_text(f"apiVersion: v1\nkind: {kind}\nmetadata: {name}\n")
    assert compare(from_files([str(odd)]), from_files([str(odd)])).is_equal
    found = compare(from_files([str(odd)]), from_files([str(plain)]))
    assert kind != "Secret" or "planted" not in str(found)
