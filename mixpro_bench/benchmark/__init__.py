"""What mixing costs: steps and image operations, timed next to one another in one process."""
