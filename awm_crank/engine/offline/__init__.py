"""What makes and judges cartridges offline, in floating point: torch, the quantizer, calibration, fidelity.

Nothing that runs a session imports this folder (tests/test_imports.py).
"""
