"""Where and how runs take place, as data: profiles, amounts of resources, strict YAML, volume claims, the stores.

Nothing here starts, follows or finds a run, and nothing here knows a backend: every other room may build on it.
"""

from nbstep.profiles.profile import BuildOptions, DockerOptions, Profile, Reference, Resources
from nbstep.profiles.reading import as_text, chosen_profile, load_profile, merged, overlaid, profile_names
from nbstep.profiles.service import ServiceOptions

__all__ = [
    "BuildOptions",
    "DockerOptions",
    "Profile",
    "Reference",
    "Resources",
    "ServiceOptions",
    "as_text",
    "chosen_profile",
    "load_profile",
    "merged",
    "overlaid",
    "profile_names",
]
