"""An image of this very environment, made with plain tar: this interpreter, the installed packages, a shell.

It holds what a run needs and no more, so that tests on a cluster need no registry and no image builder.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

EXTRAS = ("html", "s3", "sftp", "http", "gcs", "serve", "kubernetes")
MORE = ("s3fs", "pandas", "scikit-learn", "matplotlib", "jupyter-client")
PROGRAMS = (
    "awk",
    "nproc",
    "uname",
    "bash",
    "sh",
    "cat",
    "cp",
    "echo",
    "env",
    "ls",
    "mkdir",
    "sleep",
    "true",
    "wc",
    "head",
    "grep",
    "rm",
)
USER = 65532
SITE = "/opt/packages"
OWN = "/opt/nbstep"
PYTHON = "/opt/python"
SKIPPED = re.compile(
    r"(^|/)(__pycache__|tests?|idlelib|tkinter|ensurepip|config-[^/]*|lib2to3)(/|$)|\.a$|libpython[^/]*\.a$"
)


def build(archive: Path, tag: str, kept_in: Path) -> None:
    """Write the image as a docker archive (the ``manifest.json`` of ``docker save``).

    The layer of the environment is kept in the folder ``kept_in``; that of our own sources is made each time.
    """
    layers = {"base.tar": _base_layer(kept_in), "own.tar": _layer(_own_files())}
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": {
            "Env": [
                f"PATH={PYTHON}/bin:/usr/bin:/bin",
                f"LD_LIBRARY_PATH={PYTHON}/lib",
                f"PYTHONPATH={OWN}:{SITE}",
                "PYTHONDONTWRITEBYTECODE=1",
                "LANG=C.UTF-8",
            ],
            "Entrypoint": ["nbstep-runner"],
            "User": str(USER),
            "Volumes": {"/tmp": {}, "/work": {}},  # noqa: S108 - what may be written where the root is read-only
            "WorkingDir": "/work",
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers.values()],
        },
    }
    manifest = [{"Config": "config.json", "RepoTags": [tag], "Layers": list(layers)}]
    with tarfile.open(archive, "w") as tar:
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
        _add_bytes(tar, "config.json", json.dumps(config).encode())
        for name, data in layers.items():
            _add_bytes(tar, name, data)


def fingerprint() -> str:
    """Names what the image would hold: the environment and our own sources."""
    digest = hashlib.sha256(_environment().encode())
    for name, path in sorted(_own_files().items()):
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _environment() -> str:
    digest = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes())
    for name in sorted(_distributions()):
        digest.update(f"{name}=={metadata.version(name)}\n".encode())
    return digest.hexdigest()[:16]


def _base_layer(folder: Path) -> bytes:
    kept = folder / f"nbstep-test-base-{_environment()}.tar"
    if not kept.exists():
        data = _layer(dict(_python_files()) | dict(_package_files()) | dict(_programs()), system=True)
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(data)
        new.replace(kept)
    return kept.read_bytes()


def _layer(files: dict[str, Path], *, system: bool = False) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        libraries = dict(_libraries(files.values())) if system else {}
        for name, source in sorted((files | dict(_compiled(files)) | libraries).items()):
            tar.add(source.resolve(), name.lstrip("/"), recursive=False, filter=_owned_by_root)
        if system:
            _add_system(tar)
    return layer.getvalue()


def _add_system(tar: tarfile.TarFile) -> None:
    programs = {"nbstep-runner": "nbstep_runner.cli.main", "nbstep": "nbstep.cli.main"}
    kernel = {
        "argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
    }
    users = f"root:x:0:0::/:/bin/sh\nrun:x:{USER}:{USER}::/tmp:/bin/sh\n"
    for program, module in programs.items():
        script = f"#!{PYTHON}/bin/python3\nfrom {module} import main\nmain()\n"
        _add_bytes(tar, f"{PYTHON}/bin/{program}".lstrip("/"), script.encode(), mode=0o755)
    _add_bytes(tar, f"{PYTHON}/share/jupyter/kernels/python3/kernel.json".lstrip("/"), json.dumps(kernel).encode())
    _add_bytes(tar, "etc/passwd", users.encode())
    for folder in ("tmp", "work", "proc", "sys", "dev"):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(entry)


def _python_files() -> Iterator[tuple[str, Path]]:
    root = Path(sys.base_prefix)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield f"{PYTHON}/bin/python3", root / "bin" / version
    yield f"{PYTHON}/bin/python", root / "bin" / version
    for path in (root / "lib" / version).rglob("*"):
        inside = path.relative_to(root).as_posix()
        if (
            path.is_file()
            and "site-packages" not in inside
            and "dist-packages" not in inside
            and not SKIPPED.search(inside)
        ):
            yield f"{PYTHON}/{inside}", path


def _package_files() -> Iterator[tuple[str, Path]]:
    for name in _distributions():
        for file in metadata.distribution(name).files or ():
            path, inside = Path(str(file.locate())), file.as_posix()
            if not path.is_file() or "__pycache__" in inside:
                continue
            if inside.endswith("/kernels/python3/kernel.json"):
                continue  # ours names the image's interpreter
            if inside.startswith("../../../share/"):
                yield f"{PYTHON}/{inside.removeprefix('../../../')}", path
            elif ".." not in file.parts:
                yield f"{SITE}/{inside}", path


def _compiled(files: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """The compiled form of every module that has one here: without them a run starts seconds later."""
    for name, source in files.items():
        if source.suffix == ".py" and (compiled := Path(cache_from_source(str(source)))).exists():
            yield cache_from_source(name), compiled


def _own_files() -> dict[str, Path]:
    root = Path(__file__).parents[2]
    packages = (root / "runner/nbstep_runner", root / "pipelines/nbstep")
    files = (
        (package, path)
        for package in packages
        for path in package.rglob("*")
        if path.suffix in (".py", ".html", ".css", ".js")
    )
    return {f"{OWN}/{path.relative_to(package.parent).as_posix()}": path for package, path in files}


@cache
def _distributions() -> frozenset[str]:
    """The names of all installed distributions that the runner, its extras and the examples need."""
    found: set[str] = set()
    waiting = [Requirement(f"nbstep[{','.join(EXTRAS)}]"), *map(Requirement, MORE)]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        first = name not in found
        found.add(name)
        if first or requirement.extras:
            waiting += [need for need in map(Requirement, needs) if _applies(need, requirement.extras)]
    return frozenset(found - {"nbstep"})


def _applies(need: Requirement, extras: set[str]) -> bool:
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _programs() -> Iterator[tuple[str, Path]]:
    for name in PROGRAMS:
        for folder in ("/bin", "/usr/bin"):
            path = Path(folder) / name
            if path.exists():
                yield f"/bin/{name}", path
                break


def _libraries(files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The system's shared libraries that any of the files needs, and what the resolver loads on demand."""
    binaries = [str(path) for path in files if ".so" in path.name or path.parent.name == "bin"]
    done = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False)
    for library in sorted(set(re.findall(r"(?:=> |^\t)(/\S+) \(", done.stdout, re.MULTILINE))):
        if Path(library).name.startswith("libpython"):
            yield f"{PYTHON}/lib/{Path(library).name}", Path(library)
        elif not library.startswith((sys.base_prefix, sysconfig.get_path("platlib"))):
            yield library, Path(library)
    for pattern in ("libnss_files*", "libnss_dns*", "libresolv*"):
        for path in Path(f"/lib/{os.uname().machine}-linux-gnu").glob(pattern):
            yield str(path), path


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o444 | (0o111 if entry.mode & 0o100 else 0)
    return entry


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
