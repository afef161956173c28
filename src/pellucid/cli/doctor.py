"""`pellucid doctor`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def doctor(*, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Look at this machine: what pellucid finds, how fast it is, and what is missing.

    Parameters
    ----------
    json
        Print as JSON.
    """
    from .console import say, say_json

    facts = examine()
    if json:
        say_json(facts)
    else:
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            say(f"{name:<{width}}  {value}")
    return 0


def examine() -> dict[str, Any]:
    """The facts, by name."""
    import importlib.util
    import platform
    import shutil
    from importlib.metadata import version

    import torch

    from .. import __version__
    from ..train.engine import matrix_rate

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    extras = {"data": ("mlxtend", "sklearn")}
    found = {
        name: "installed" if all(importlib.util.find_spec(m) for m in modules) else f"pip install 'pellucid[{name}]'"
        for name, modules in extras.items()
    }
    return {
        "pellucid": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "gpu": ", ".join(gpus) or "none",
        "float32 products": f"{matrix_rate() / 1e9:.0f} GFLOP/s",
        "bfloat16 products": _bfloat16(),
        "free disk here": f"{shutil.disk_usage('.').free / 1e9:.0f} GB",
        **{f"extra {name}": state for name, state in found.items()},
    }


def _bfloat16() -> str:
    from ..train.engine import bfloat16_is_fast

    return "as fast as float32 or faster: training uses them" if bfloat16_is_fast() else "emulated: not used"
