"""What is not as it should be in the way a mesh stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.model.finding import Level, Rule
from meshctl.model.release import Status
from meshctl.model.standing import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from meshctl.model.finding import Finding
    from meshctl.model.release import Release
    from meshctl.model.standing import CertificateAge, Installation, Standing, Webhook

CONTROL_PLANE_READY: Final = Rule(
    "control-plane-ready",
    Level.ERROR,
    "istiod has replicas, and every one is ready.",
    "see its pods and their logs in the control plane's namespace",
)
CONTROL_PLANE_PRESENT: Final = Rule(
    "control-plane-present",
    Level.ERROR,
    "The control plane that a release installed is there.",
    "run `meshctl install` again, or `meshctl uninstall` to remove the rest",
)
DATA_PLANE_READY: Final = Rule(
    "data-plane-ready",
    Level.ERROR,
    "Every gateway, CNI node agent and ztunnel is ready.",
    "see its pods; a gateway needs istiod to start",
)
RELEASE_SETTLED: Final = Rule(
    "release-settled",
    Level.WARNING,
    "The newest release of each mesh is deployed.",
    "run the same command again: it continues where it stopped",
)
IMAGE_AS_RECORDED: Final = Rule(
    "image-as-recorded",
    Level.WARNING,
    "istiod runs the image that its release recorded.",
    "`meshctl plan` shows what differs, and `meshctl install` puts it back",
)
WEBHOOK_SERVED: Final = Rule(
    "webhook-served",
    Level.ERROR,
    "Every webhook leads to a Service with a ready endpoint.",
    "while it does not, pods or Istio objects are refused; make istiod ready, or run "
    "`meshctl check --rescue` if it is gone",
)
WEBHOOK_TRUSTED: Final = Rule(
    "webhook-trusted",
    Level.ERROR,
    "Every webhook has a CA bundle, so that the API server trusts istiod.",
    "istiod fills it in when it runs; see its log",
)
WEBHOOK_ROOT: Final = Rule(
    "webhook-root",
    Level.WARNING,
    "The CA bundle of every webhook holds the mesh root.",
    "restart istiod of that revision, so that it writes the bundle anew",
)
ONE_DEFAULT: Final = Rule(
    "one-default-revision",
    Level.WARNING,
    "One revision both injects and validates what names no revision.",
    "move both to one revision with `meshctl tag set default --revision REVISION --overwrite`",
)
CA_LASTS: Final = Rule(
    "ca-lasts",
    Level.WARNING,
    "CA certificates have more than a fifth of their life left.",
    "rotate the CA before it ends; workload certificates never outlive it",
)
CA_VALID: Final = Rule(
    "ca-valid",
    Level.ERROR,
    "CA certificates are valid now.",
    "no proxy can get a certificate from it: rotate the CA",
)
_LEFT: Final = 0.2


def rules() -> tuple[Rule, ...]:
    """Every rule above, in that order."""
    return tuple(each for each in globals().values() if isinstance(each, Rule))


def judged(one: Standing, now: datetime) -> Standing:
    """The standing with its findings at the moment `now`, in the order of the rules above."""
    found = (
        *_of_control_planes(one),
        *_of_data_plane(one),
        *_of_releases(one),
        *(finding for webhook in one.webhooks for finding in _of_webhook(webhook)),
        *_of_default(one),
        *(finding for age in one.certificates for finding in _of_certificate(age, now)),
    )
    return replace(one, findings=found)


def _of_control_planes(one: Standing) -> Iterator[Finding]:
    planes = [each for each in one.installations if each.role is Role.CONTROL_PLANE]
    for each in planes:
        if each.trouble:
            yield CONTROL_PLANE_READY.at(str(each.ref), _why(each))
        elif each.wanted == 0:
            yield CONTROL_PLANE_READY.at(str(each.ref), "it is scaled to 0 replicas")
    if any(what == "workloads" for what, _ in one.unread):
        return  # what could not be read is not missing
    for release in one.releases:
        wanted = _istiod(release)
        if (
            wanted
            and release.status is Status.DEPLOYED
            and wanted[0] not in {str(each.ref) for each in planes}
        ):
            yield CONTROL_PLANE_PRESENT.at(
                wanted[0],
                f"generation {release.generation} of mesh {release.mesh!r} installed it, and it is gone",
            )


def _of_data_plane(one: Standing) -> Iterator[Finding]:
    for each in one.installations:
        if each.role is not Role.CONTROL_PLANE and each.trouble:
            yield DATA_PLANE_READY.at(str(each.ref), _why(each))


def _of_releases(one: Standing) -> Iterator[Finding]:
    images = {str(each.ref): each.image for each in one.installations if each.role is Role.CONTROL_PLANE}
    for release in one.releases:
        if release.status not in (Status.DEPLOYED, Status.SUPERSEDED):
            subject = f"release {release.mesh} {release.generation}"
            yield RELEASE_SETTLED.at(subject, f"it is {release.status.value} since {release.created}")
            continue
        istiod, image = _istiod(release) or ("", "")
        running = images.get(istiod, image)
        if running != image:
            yield IMAGE_AS_RECORDED.at(istiod, f"it runs {running}, and the record says {image}")


def _of_webhook(webhook: Webhook) -> Iterator[Finding]:
    subject = f"{webhook.ref}"
    if webhook.is_alive is False:
        effect = "" if webhook.is_required else " (its failures are ignored)"
        yield WEBHOOK_SERVED.at(subject, f"{webhook.target} has no ready endpoint{effect}")
    if not webhook.has_bundle:
        yield WEBHOOK_TRUSTED.at(subject, "it has no CA bundle")
    if webhook.trusts_root is False:
        yield WEBHOOK_ROOT.at(subject, "its CA bundle is of another root")


def _of_default(one: Standing) -> Iterator[Finding]:
    owner = one.default
    if owner.injection and owner.validation and owner.injection != owner.validation:
        message = f"revision {owner.injection!r} injects, and revision {owner.validation!r} validates"
        yield ONE_DEFAULT.at("default revision", message)


def _of_certificate(age: CertificateAge, now: datetime) -> Iterator[Finding]:
    subject = f"{age.name} in {age.place}"
    if not age.begins <= now <= age.ends:
        yield CA_VALID.at(
            subject, f"it is valid from {age.begins:%Y-%m-%d %H:%M} to {age.ends:%Y-%m-%d %H:%M} UTC"
        )
    elif age.left(now) < _LEFT:
        yield CA_LASTS.at(subject, f"{age.left(now):.0%} of its life is left, until {age.ends:%Y-%m-%d}")


def _why(each: Installation) -> str:
    return "; ".join((each.trouble, *each.causes[:1]))


def _istiod(release: Release) -> tuple[str, str] | None:
    """Name and image of the istiod Deployment in a release's manifest."""
    for obj in release.manifest.objects:
        if obj.ref.kind == "Deployment" and obj.labels.get("app") == "istiod":
            return str(obj.ref), str(obj.at("spec.template.spec.containers[0].image", ""))
    return None
