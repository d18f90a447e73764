"""One file per system, each with its rows in ``SYSTEMS``."""
