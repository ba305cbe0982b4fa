"""Makes cartridges and measures what they lose, offline and in floating point: torch, quantizer, calibration, fidelity.

Nothing that runs a session imports this folder (tests/test_imports.py).
"""
