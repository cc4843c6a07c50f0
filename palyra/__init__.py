"""Palyra governs what language models may spend: engine, gateway and operations console in one process."""
