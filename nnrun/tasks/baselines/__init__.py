"""What a task compares a network with: naive and linear predictors, and their scores."""
