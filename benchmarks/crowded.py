"""How a training step of several threads fares on idle cores and beside a busy program, by how long threads wait.

    python benchmarks/crowded.py
    python benchmarks/crowded.py --threads 8 --steps 20

Each line is a process of its own, because OpenMP reads its environment when torch is imported: `default` is its own
busy waiting, `short` what `import distill` sets, `none` no busy waiting at all. Random encoders on random rows, in
bfloat16 where the processor has it. On a CPU only.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Environments by name; an empty OMP_WAIT_POLICY is none to OpenMP, and keeps `distill` from setting anything.
WAITS = {"default": {"OMP_WAIT_POLICY": ""}, "short": {}, "none": {"GOMP_SPINCOUNT": "0"}}
SHAPES = {"4 x 32": (4, 32), "6 x 384": (6, 384)}
_BUSY = "while True: pass"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=2, help="threads of the step (default: 2)")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed (default: 20)")
    parser.add_argument("--alone", choices=SHAPES, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.alone:
        print(measure(*SHAPES[asked.alone], asked.threads, asked.steps))
        return 0
    for shape in SHAPES:
        print(f"Encoder {shape}, {asked.threads} threads of {os.cpu_count()} cores, milliseconds a step:", flush=True)
        times = {
            (name, busy): _apart(shape, asked, waits, busy) for busy in (False, True) for name, waits in WAITS.items()
        }
        for name in WAITS:
            idle, crowded = times[name, False], times[name, True]
            print(
                f"  {name:8} idle {idle:7.1f} ({idle / times['default', False]:.2f} of default), "
                f"beside one busy program {crowded:7.1f} ({crowded / times['default', True]:.2f})",
                flush=True,
            )
    return 0


def _apart(shape: str, asked: argparse.Namespace, waits: dict[str, str], busy: bool) -> float:
    """Milliseconds a step in a fresh process."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    other = subprocess.Popen([sys.executable, "-c", _BUSY]) if busy else None
    try:
        run = subprocess.run(
            [sys.executable, __file__, "--alone", shape, "--threads", str(asked.threads), "--steps", str(asked.steps)],
            check=True,
            capture_output=True,
            text=True,
            env={**rest, **waits},
        )
    finally:
        if other is not None:
            other.kill()
            other.wait()
    return float(run.stdout)


def measure(layers: int, width: int, threads: int, steps: int) -> float:
    """Milliseconds a step of an encoder in this process."""
    # Before torch, which reads what it sets.
    importlib.import_module("distill")
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from distill.training.settings import multiplies_in_bfloat16

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = BertConfig(hidden_size=width, num_hidden_layers=layers, num_attention_heads=4, intermediate_size=4 * width)
    model = BertForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids, labels = torch.randint(0, config.vocab_size, (32, 16)), torch.randint(0, 2, (32,))
    started = 0.0
    for step in range(steps + 3):
        if step == 3:
            started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_in_bfloat16()):
            loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - started) / steps * 1e3


if __name__ == "__main__":
    raise SystemExit(main())
