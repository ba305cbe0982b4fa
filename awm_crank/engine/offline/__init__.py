"""Makes and judges cartridges offline, in floating point: torch, the quantizer, calibration, fidelity.

Code that runs sessions never imports this folder (tests/test_imports.py checks it).
"""
