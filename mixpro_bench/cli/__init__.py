"""The command line: one file per sub-command, no arithmetic here."""
