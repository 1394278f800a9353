"""How others run the same trials: written for `benchmarks/sweep.py`, which times them beside this project."""
