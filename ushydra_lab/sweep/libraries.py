"""Importing the libraries of a job (torch, Lightning and the rest) once, and only in processes that run jobs."""

import functools
import gc
import importlib
from typing import Any


@functools.cache
def import_jobs() -> Any:
    """The module `sweep.jobs`, imported without garbage collection, which takes seconds amid imports and finds nothing.

    A mistyped command is answered before, in a fraction of the time.
    """
    gc.disable()
    try:
        return importlib.import_module("ushydra_lab.sweep.jobs")
    finally:
        gc.freeze()  # nor need it look at the libraries after every job
        gc.enable()
