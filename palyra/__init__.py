"""Palyra governs what language models may spend: engine, gateway and operations console in one process."""

from importlib.metadata import version

__version__ = version("palyra")
