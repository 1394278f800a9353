"""The science of the sweep in plain PyTorch: losses, methods, models, tasks, training loop, artifacts."""
