.PHONY: check test format

# What every commit should pass: static checks and the tests that take seconds.
check:
	ruff check
	ruff format --check
	mypy
	pytest -m "not slow"

# Everything, the real commands as subprocesses included.
test:
	pytest

format:
	ruff check --fix
	ruff format
