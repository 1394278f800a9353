"""What the hub of the tests serves: a data set in the form of nyu-mll/glue."""

from __future__ import annotations

import io
from typing import Any

from tests.hub_server import Hub, Repository

GLUE = "nyu-mll/glue"
Rows = dict[str, list[Any]]


def glue_repository(configs: dict[str, dict[str, Rows]], labels: dict[str, list[str] | None]) -> Repository:
    """One Parquet file for each split of each configuration, and the README that lists them.

    Args:
        configs: Columns by split by configuration.
        labels: Label names by configuration; None where labels are scores.
    """
    import yaml
    from datasets import ClassLabel, Dataset, Features, Value

    files, infos, listed = {}, [], []
    for config, splits in configs.items():
        names = labels[config]
        first = next(iter(splits.values()))
        features = Features(
            {column: Value("string") if column not in ("label", "idx") else Value("int32") for column in first}
        )
        features["label"] = Value("float32") if names is None else ClassLabel(names=names)
        data_files = []
        for split, columns in splits.items():
            stream = io.BytesIO()
            Dataset.from_dict(columns, features=features).to_parquet(stream)
            files[f"{config}/{split}-00000-of-00001.parquet"] = stream.getvalue()
            data_files.append({"split": split, "path": f"{config}/{split}-*"})
        described = [
            {"name": column, "dtype": "string" if column not in ("label", "idx") else "int32"} for column in first
        ]
        for entry in described:
            if entry["name"] == "label":
                entry["dtype"] = (
                    "float32"
                    if names is None
                    else {"class_label": {"names": {str(i): name for i, name in enumerate(names)}}}
                )
        sizes = [
            {"name": split, "num_bytes": 1, "num_examples": len(columns["label"])} for split, columns in splits.items()
        ]
        infos.append(
            {
                "config_name": config,
                "features": described,
                "splits": sizes,
                "download_size": 1,
                "dataset_size": 1,
            }
        )
        listed.append({"config_name": config, "data_files": data_files})
    card = yaml.safe_dump({"dataset_info": infos, "configs": listed}, sort_keys=False)
    files["README.md"] = f"---\n{card}---\n# A data set for tests\n".encode()
    return Repository(files)


def add_glue(hub: Hub, configs: dict[str, dict[str, Rows]], labels: dict[str, list[str] | None]) -> Repository:
    """Serve `glue_repository` as the hub's data set."""
    hub.repositories[f"datasets/{GLUE}"] = glue_repository(configs, labels)
    return hub.repositories[f"datasets/{GLUE}"]
