"""Suites: which runs make a benchmark, in which order, and how they are run on this machine."""
