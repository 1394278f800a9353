"""Ray Tune side of the sweep: the command, the plan, the trial, the record, resume and resources."""
