"""scripts/doctor: what a deployment still lacks, with the remedy for each."""
