"""scripts/deploy: the functions as services of one image."""
