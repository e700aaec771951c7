"""Objects that break the schema of Istio's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.crds import KINDS
from meshctl.crds.validation import is_ours, reviewed
from meshctl.model.analysis import analyzer, found
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.analysis import ObjectSet
    from meshctl.model.finding import Finding

SCHEMA_VALIDATION_ERROR = Rule(
    code="schema-validation-error",
    level=Level.ERROR,
    summary="Every object of Istio's fits the schema of its kind.",
    hint="correct the field; the API server refuses the object as it is",
    number="IST0106",
)
SCHEMA_WARNING = Rule(
    code="schema-warning",
    level=Level.WARNING,
    summary="Every rule of a schema can be evaluated.",
    hint="send the object with `kubectl apply --dry-run=server`, which evaluates all rules",
    number="IST0133",
)


@analyzer(
    inputs=tuple(sorted({kind.name for kind in KINDS})), rules=(SCHEMA_VALIDATION_ERROR, SCHEMA_WARNING)
)
def schema(objects: ObjectSet) -> Iterator[Finding]:
    """Types, names, limits and CEL rules of Istio's objects."""
    for resource in objects:
        ref = resource.object.ref
        if not is_ours(ref.api_version, ref.kind):
            continue
        result = reviewed(resource.object.content, objects.istio_minor)
        for each in result.problems:
            yield found(SCHEMA_VALIDATION_ERROR, resource, each.message, path=each.path, hint=each.hint)
        for rule in result.unread:
            yield found(SCHEMA_WARNING, resource, f"a rule was not evaluated, as {rule.why}: {rule.rule}")
