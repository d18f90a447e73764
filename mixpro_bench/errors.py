"""The one exception that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """A wrong input: one sentence that says what is wrong, where, and the way out.

    The command line prints the sentence as its last line and exits with status 2, without a traceback.
    """
