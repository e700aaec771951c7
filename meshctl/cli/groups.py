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

ca = LazyGroup(
    "ca",
    {
        "Commands": {
            "init": ("meshctl.cli.ca:init", "Make the root of a mesh, or name one that you have."),
            "issue": ("meshctl.cli.ca:issue", "Write the authority of one cluster as files."),
            "status": ("meshctl.cli.ca:status", "Who vouches for whom, in clusters and in live proxies."),
            "rotate": ("meshctl.cli.rotation:rotate", "Replace root or intermediates; no request fails."),
        }
    },
    {},
    help="What vouches for identities: the root of a mesh, and the authority of each cluster.",
)

cluster = LazyGroup(
    "cluster",
    {
        "Commands": {
            "list": ("meshctl.cli.cluster:list_clusters", "Clusters, and which istiod reads which."),
            "link": ("meshctl.cli.cluster:link", "Let istiods read the clusters that they need."),
            "unlink": ("meshctl.cli.cluster:unlink", "Take links away, on both sides."),
            "verify": ("meshctl.cli.verify:verify", "Do they work together? Checks, and real calls."),
        }
    },
    {},
    help="The clusters of a mesh, and the links between them.",
)

remote_secret = LazyGroup(
    "remote-secret",
    {
        "Commands": {
            "create": ("meshctl.cli.remote_secret:create", "Print the Secret by which a cluster is read."),
            "rotate": ("meshctl.cli.remote_secret:rotate", "Give links new tokens now."),
            "list": ("meshctl.cli.remote_secret:list_secrets", "Who reads whom, until when, and in sync?"),
        }
    },
    {},
    help="The Secrets by which istiods read other clusters.",
)

vm = LazyGroup(
    "vm",
    {
        "Commands": {
            "bundle": ("meshctl.cli.vm:bundle", "Make the payload that hosts are installed from."),
        }
    },
    {},
    help="Hosts outside Kubernetes, as workloads of the mesh.",
)
