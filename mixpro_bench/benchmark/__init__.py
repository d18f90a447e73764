"""What mixing costs, timed next to one another in one process; and whether runs that are killed resume."""
