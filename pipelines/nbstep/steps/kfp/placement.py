"""A profile's resources, secrets and volumes on a task, under the names that ``submit`` has for them."""

from __future__ import annotations

from typing import Any

from kfp import kubernetes

from nbstep.backends.kubernetes.manifest import held_labels
from nbstep.profiles import Profile, Resources, load_profile, overlaid
from nbstep.profiles.kubernetes import KubernetesOptions, Toleration
from nbstep.profiles.quantities import written
from nbstep.profiles.volume_claims import ROOT
from nbstep_runner.contract import lost_on_the_way
from nbstep_runner.errors import BadInputError


def place(task: Any, profile: Profile | str, **overrides: Any) -> Any:
    """Give a task what a profile says, and return it.

    What a profile says of runs (``runs``, ``deadlines``, ``image``) is a step's own business; what KFP decides itself
    (namespace, service account, queue, lifetime) is left to it.

    Args:
        task: Of a KFP pipeline.
        profile: A profile, or the name of one in the profiles file.
        overrides: The call's own values, as in ``submit``.

    Raises:
        BadInputError: The profile or the overrides do not fit, or KFP would give the task more than they say.
        InputNotFoundError: There is no such profile.
    """
    chosen = load_profile(profile, overrides) if isinstance(profile, str) else overlaid(profile, overrides)
    _check_bounds(chosen)
    _set_resources(task, chosen.resources)
    _set_environment(task, chosen)
    _set_pod(task, chosen.kubernetes)
    _mount(task, chosen.kubernetes)
    for key, value in held_labels(chosen.labels).items():
        kubernetes.add_pod_label(task, key, value)
    if chosen.retries:
        task.set_retry(num_retries=chosen.retries)
    return task


def _check_bounds(profile: Profile) -> None:
    """Whether KFP keeps every bound that a profile sets; one that it cannot keep is not left out in silence."""
    options = profile.kubernetes
    unkept = [
        *([f"resources: disk {profile.resources.disk}"] if profile.resources.disk else []),
        *(f"claims: {name} read-only" for name, claim in options.claims.items() if claim.read_only),
        *(f"secrets: only some items of {name}" for name, mount in options.secrets.items() if mount.items),
        *(f"config_maps: only some items of {name}" for name, mount in options.config_maps.items() if mount.items),
        *([f"runtime_class: {options.runtime_class}"] if options.runtime_class else []),
        *(["user_namespace"] if options.user_namespace else []),
        *(f"spread: {spread.topology}" for spread in options.spread if spread.required),
        *(f"image_volumes: {name}" for name in options.image_volumes),
        *(f"resource_claims: {name}" for name in options.resource_claims),
    ]
    if unkept:
        raise BadInputError(
            f"KFP cannot keep to what the profile says of {'; '.join(unkept)}",
            hint="Use a profile without it, or override it in the call: place(task, profile, kubernetes={…}).",
        )


def _set_resources(task: Any, resources: Resources) -> None:
    if resources.cpu is not None:
        task.set_cpu_request(written(resources.cpu))
    if resources.cpu_limit is not None:
        task.set_cpu_limit(written(resources.cpu_limit))
    if resources.memory is not None:
        task.set_memory_request(resources.memory)
        task.set_memory_limit(resources.memory)
    if resources.gpu:
        task.set_accelerator_type(resources.gpu_resource)
        task.set_accelerator_limit(resources.gpu)
    if resources.shared_memory is not None:
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", "Memory", resources.shared_memory)  # noqa: S108 - Linux's name for shared memory


def _set_environment(task: Any, profile: Profile) -> None:
    for name, value in profile.env.items():
        if isinstance(value, str):
            _check_text(
                f"the environment variable {name}", value, "Let the profile take it from a Secret or a ConfigMap."
            )
            task.set_env_variable(name, value)
        elif value.secret is not None:
            kubernetes.use_secret_as_env(task, value.secret, {value.key: name})
        else:
            kubernetes.use_config_map_as_env(task, value.config_map, {value.key: name})


def _check_text(what: str, value: str, hint: str) -> None:
    """Whether a text passes Argo and Kubernetes."""
    if lost := lost_on_the_way(value):
        raise BadInputError(f"{what} holds {lost}", hint=hint)


def _set_pod(task: Any, options: KubernetesOptions) -> None:
    kubernetes.set_image_pull_policy(task, options.pull_policy)
    if options.pull_secrets:
        kubernetes.set_image_pull_secrets(task, options.pull_secrets)
    for key, value in options.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in options.tolerations:
        _tolerate(task, toleration)
    _prefer_nodes(task, options)
    for key, value in options.annotations.items():
        if "{{" in value:  # what Argo replaces; nobody replaces anything else in an annotation
            _check_text(f"the annotation {key}", value, "Use a profile without it.")
        kubernetes.add_pod_annotation(task, key, value)
    if options.run_as_user is not None:
        kubernetes.set_security_context(task, run_as_user=options.run_as_user, run_as_non_root=True)


def _tolerate(task: Any, toleration: Toleration) -> None:
    kubernetes.add_toleration(
        task,
        key=toleration.key,
        operator=toleration.operator,
        value=toleration.value,
        effect=toleration.effect,
        toleration_seconds=toleration.seconds,
    )


def _prefer_nodes(task: Any, options: KubernetesOptions) -> None:
    """What is required is one term, in which all of it has to hold; each preference is one by itself."""
    rules = [({"key": each.key, "operator": each.operator, "values": each.values}, each) for each in options.affinity]
    if required := [rule for rule, each in rules if each.weight is None]:
        kubernetes.add_node_affinity(task, match_expressions=required)
    for rule, each in rules:
        if each.weight is not None:
            kubernetes.add_node_affinity(task, match_expressions=[rule], weight=each.weight)


def _mount(task: Any, options: KubernetesOptions) -> None:
    for name in options.claims:
        kubernetes.mount_pvc(task, name, f"{ROOT}/{name}")
    for name, volume in options.volumes.items():
        kubernetes.add_ephemeral_volume(
            task,
            volume_name=f"volume-{name}",
            mount_path=volume.path,
            access_modes=[volume.access],
            size=volume.size,
            storage_class_name=volume.storage_class,
        )
    for name, mount in options.secrets.items():
        kubernetes.use_secret_as_volume(task, name, mount.path)
    for name, mount in options.config_maps.items():
        kubernetes.use_config_map_as_volume(task, name, mount.path)
