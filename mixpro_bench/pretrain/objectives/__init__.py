"""What a pretraining optimises."""
