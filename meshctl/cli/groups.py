"""Commands of commands, each imported when it is used."""

from __future__ import annotations

from meshctl.cli.lazy import LazyGroup

manifest = LazyGroup(
    "manifest",
    {
        "Commands": {
            "generate": ("meshctl.cli.generate:generate", "Render the objects that an install would send."),
            "diff": ("meshctl.cli.diff:diff", "Field by field: a rendering, files, the live cluster."),
        }
    },
    {},
    help="Render Kubernetes objects; nothing is sent anywhere.",
)

profile = LazyGroup(
    "profile",
    {
        "Commands": {
            "list": ("meshctl.cli.profile:list_profiles", "Names and summaries."),
            "dump": ("meshctl.cli.profile:dump_profile", "All settings that a profile settles."),
            "diff": ("meshctl.cli.profile:diff_profiles", "What two profiles set differently, and where."),
        }
    },
    {},
    help="The profiles that installs start from.",
)

images = LazyGroup(
    "images",
    {
        "Commands": {
            "list": ("meshctl.cli.images:list_images", "Every image that the mesh runs."),
            "save-script": ("meshctl.cli.images:save_images", "A shell script that carries them offline."),
        }
    },
    {},
    help="The images that have to be pulled before a mesh can run.",
)

rbac = LazyGroup(
    "rbac",
    {"Commands": {"print": ("meshctl.cli.rbac:print_roles", "The least roles for a command.")}},
    {},
    help="The rights that commands need.",
)

tag = LazyGroup(
    "tag",
    {
        "Commands": {
            "set": ("meshctl.cli.tag:set_tag", "Make a tag lead to a revision."),
            "list": ("meshctl.cli.tag:list_tags", "Every tag, where it leads, and who uses it."),
            "remove": ("meshctl.cli.tag:remove_tag", "Remove a tag that nobody uses."),
        }
    },
    {},
    help="Revision tags: names by which namespaces choose a control plane that may change.",
)
