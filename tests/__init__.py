"""Tests of the three floors; `contract.py` is the battery that every family inherits."""
