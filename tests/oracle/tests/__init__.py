"""Tests of the oracle's rules: `PYTHONPATH=tests python -m unittest discover -s tests/oracle -t tests`."""
