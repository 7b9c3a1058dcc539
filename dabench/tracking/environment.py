"""What a run ran on: versions, processor, memory, GPU, code. No host name, user name or path."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from dabench.files.digests import digest_of

#: Looked up where dabench runs from a folder and has no metadata of its own.
_PACKAGES = (
    "torch torchvision timm pluggy pydantic numpy scipy scikit-image connected-components-3d tifffile imagecodecs "
    "safetensors pyyaml typer rich matplotlib pandas mlflow"
)
_ROOT = Path(__file__).resolve().parents[2]


def capture() -> dict[str, Any]:
    """The environment of this process, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": _cores(),
        "memory_bytes": memory_bytes(),
        "torch": _torch(),
        "packages": _packages(),
        "git": git_state(),
    }


def digest(environment: dict[str, Any]) -> str:
    """SHA-256 of an environment apart from the code's commit, which has a tag of its own."""
    return digest_of({k: v for k, v in environment.items() if k != "git"})


def git_state(root: Path = _ROOT) -> dict[str, Any]:
    """Commit and dirty flag of dabench's checkout; empty when it is not run from one."""
    if not (root / ".git").exists():
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return {"commit": commit, "dirty": bool(changes)} if commit else {}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-c", f"safe.directory={root}", *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model() -> str:
    """The processor as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of this machine; 0 if it cannot be determined."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 0


def _torch() -> dict[str, Any]:
    import torch

    found: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if torch.cuda.is_available():
        found["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _packages() -> dict[str, str]:
    """Installed versions of dabench and of what it depends on."""
    try:
        required = [r for r in metadata.requires("dabench") or [] if "extra ==" not in r]
    except metadata.PackageNotFoundError:
        required = []
    names = [re.split(r"[^A-Za-z0-9._-]", r, maxsplit=1)[0] for r in required] or _PACKAGES.split()
    found = {name: _version(name) for name in ["dabench", *names]}
    return {name: version for name, version in sorted(found.items()) if version}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
