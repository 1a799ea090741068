"""What others would serve the same model with. Runs in the bench's own virtual environment."""
