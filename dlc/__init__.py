"""dlc: compiles deep-learning models to native shared libraries, and runs them.

The names below are imported on first use, so that `dlc.load` brings in neither the compiler nor what it depends on.
"""

import gc
import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlc.driver import compile
    from dlc.errors import DlcError, InternalError, UnsupportedOps, UserError
    from dlc.runtime import CompiledModel, TensorSpec, load
    from dlc.target import Target

__version__ = "0.1.0"

__all__ = [
    "CompiledModel",
    "DlcError",
    "InternalError",
    "Target",
    "TensorSpec",
    "UnsupportedOps",
    "UserError",
    "__version__",
    "compile",
    "load",
]

HOMES = {
    "CompiledModel": "dlc.runtime",
    "DlcError": "dlc.errors",
    "InternalError": "dlc.errors",
    "Target": "dlc.target",
    "TensorSpec": "dlc.runtime",
    "UnsupportedOps": "dlc.errors",
    "UserError": "dlc.errors",
    "compile": "dlc.driver",
    "load": "dlc.runtime",
}
SUBMODULES = ("backend", "errors", "runtime", "target")  # usable as dlc.NAME after `import dlc` alone


def __getattr__(name: str) -> object:
    if name not in HOMES and name not in SUBMODULES:
        raise AttributeError(f"dlc has no attribute '{name}', expected one of {', '.join((*__all__, *SUBMODULES))}")
    home = HOMES.get(name, f"dlc.{name}")
    try:
        module = imported(home)
    except ModuleNotFoundError as error:
        if error.name != home:
            raise  # a dependency is missing: its own name says more than ours
        raise AttributeError(f"dlc.{name} is not part of this installation: it lacks the module {home}") from error
    value: object = getattr(module, name) if name in HOMES else module
    globals()[name] = value  # the next access does not come here
    return value


def imported(name: str) -> ModuleType:
    """A module. Nothing that is made while modules are imported is garbage, so nobody looks for any."""
    looks = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if looks:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # together: what there is counts as old, and is looked at with the rest of what is old
            gc.enable()


def __dir__() -> list[str]:
    return sorted({*globals(), *HOMES, *SUBMODULES})
