"""Real models with something changed at random: dlc compiles them or says what is wrong, and nothing else."""
