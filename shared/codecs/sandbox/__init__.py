"""What runs inside of a child process: nothing of it is imported by anybody else."""
