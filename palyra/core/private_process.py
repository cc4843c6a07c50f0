"""What a process does so that nothing of it is left, or to be had, for others to read."""

import resource
from contextlib import suppress
from importlib import import_module

_PR_SET_DUMPABLE = 4
"""Of prctl(2)."""


def leave_no_image() -> None:
    """A crash from now on leaves no image of this process's memory, in which secrets lie.

    The limit alone does not do: the kernel hands an image to the program that `core_pattern` names whatever the limit
    is, as on most desktops. Not to be dumpable holds there as well, and keeps other programs of the same account,
    which are not root's, from attaching to this process and from reading its environment. What is started from here
    begins anew. Where Linux cannot be asked for that, the limit is what there is.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    with suppress(ImportError, OSError, AttributeError):
        import_module("ctypes").CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
