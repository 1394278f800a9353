"""What sweeps of a plan would find prepared, with a teacher that is trained at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainables import prepare, teacher_source, trial


@contextmanager
def prepared(header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All but stages and filters; the process has its threads back behind it, and no outputs of the teacher."""
    import torch

    threads = torch.get_num_threads()
    plan = header["plan"]
    data = prepare.load_data(header["config"], plan)
    made = prepare.make_teacher(plan, data, "own", lambda line: None, None, teacher_source.kept_outputs(plan))
    yield {
        "teacher": {
            **{"path": str(made.folder / "model"), "content": made.own["content"], "score": 0.5},
            **{"outputs": str(made.outputs), "outputs_dev": str(made.outputs_dev) if made.outputs_dev else None},
            "rows": prepare.teacher_order(plan, data).tokens,
        },
        "student": {"path": plan["student"]["path"], "kept": plan["student"]["kept"], "parameters": 1000},
        "data": {"path": str(made.rows), "key": made.rows.name},
    }
    trial.outputs.cache_clear()
    torch.set_num_threads(threads)
