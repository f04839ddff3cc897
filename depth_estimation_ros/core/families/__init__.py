"""The model families: for each what it takes to run its published network exactly, and fast."""
