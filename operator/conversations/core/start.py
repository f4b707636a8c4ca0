"""Whether a conversation may be started from its template at all."""

from conversations.api.reasons import Reason
from conversations.core.images import image_allowed
from conversations.core.readiness import Finding
from conversations.core.template import Template
from conversations.core.world import World


def why_not_start(world: World) -> Finding | None:
    """The rule that spec and template break, or None.  Looked at again at each start."""
    spec, template = world.conversation.spec, world.template
    if template is None:
        return Finding(
            Reason.TEMPLATE_NOT_FOUND,
            f"There is no RuntimeTemplate {spec.template!r} in this namespace; create it.",
        )
    if template.problem is not None:
        return Finding(
            Reason.POD_REJECTED,
            f"RuntimeTemplate {spec.template!r} makes no pod: {template.problem}",
        )
    if spec.image is not None and not _may_use(spec.image, template):
        return Finding(
            Reason.IMAGE_NOT_ALLOWED,
            f"spec.image {spec.image!r} is not in allowedImages of RuntimeTemplate {spec.template!r}; "
            "choose one that is, or have an admin allow it.",
        )
    blueprint = {entry["name"] for entry in template.container.get("env", [])}
    taken = sorted(variable.name for variable in spec.env if variable.name in blueprint)
    if taken:
        return Finding(
            Reason.ENV_NOT_ALLOWED,
            f"spec.env sets {', '.join(taken)}, which RuntimeTemplate {spec.template!r} sets itself; "
            "remove it from spec.env.",
        )
    return None


def _may_use(image: str, template: Template) -> bool:
    return image == template.container.get("image") or image_allowed(
        image, template.spec.allowed_images
    )
