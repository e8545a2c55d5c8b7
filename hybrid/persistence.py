"""A fitted model as a folder: safetensors, Parquet and JSON, no pickle.

``model.json`` names every file of the model with its sha256; a save replaces the whole in one step, see
`kgenre.graph.versioned_folder`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy import sparse

from kgenre.graph.errors import KgenreError, ModelError
from kgenre.graph.snapshot_file import read_snapshot, write_snapshot
from kgenre.graph.versioned_folder import VersionedFolder

from .config import HybridConfig
from .signals.base import pack, unpack
from .state import FitReport, ModelState

FORMAT = 1
"""Version of the layout; a newer one is refused."""
_INDEX = "model.json"


def save(state: ModelState, folder: str | Path) -> None:
    """Write a model; an older one in the folder survives whole until the new one is complete.

    Raises
    ------
    ModelError
        If the folder cannot be written, or holds something else than a model.
    """
    target = _target(folder)
    check_target(folder)
    try:
        target.replace(lambda part: _write(state, part), {"format": FORMAT, "kgenre": _version()})
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"cannot write the model to {target.path}: {reason}; free space or choose another folder"
        ) from None


def check_target(folder: str | Path) -> None:
    """Refuse, before any work, a place that a model cannot be saved in; raises `ModelError`."""
    target = _target(folder)
    if target.is_foreign():
        raise ModelError(f"{target.path} exists and is not a model; choose another folder")


def load(folder: str | Path) -> ModelState:
    """Read a model.

    Raises
    ------
    ModelError
        If there is no model, a file of it is missing, truncated or another's, or a newer version wrote it.
    """
    target = Path(folder)
    index = _read_index(target)
    if missing := _target(folder).missing(index["files"]):
        raise ModelError(f"{target}: the model's file {missing} is missing; fit and save it again")
    if changed := _target(folder).changed(index["files"]):
        raise ModelError(
            f"{target}: {changed} is not the file that was saved (truncated or swapped); fit and save the model again"
        )
    try:
        return _read(target / index["part"])
    except KgenreError as error:
        raise ModelError(f"{target}: {error}") from None
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(f"{target}: cannot be read as a model ({error}); fit and save it again") from None


def _read_index(target: Path) -> dict[str, Any]:
    if not target.exists():
        raise ModelError(f"no model folder {target}; check the path, or make one with `kgenre fit`")
    if not (target / _INDEX).is_file():
        raise ModelError(f"{target} is not a model: it has no {_INDEX}; make one with `kgenre fit`")
    try:
        index = json.loads((target / _INDEX).read_text(encoding="utf-8"))
        version, _, _ = index["format"], str.strip(index["part"]), dict.keys(index["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{target / _INDEX} cannot be read ({error}); fit and save the model again"
        ) from None
    if not isinstance(version, int) or version > FORMAT:
        raise ModelError(
            f"{target} was saved by a newer kgenre (format {version}, this one reads up to {FORMAT}); upgrade kgenre"
        )
    found: dict[str, Any] = index
    return found


def _write(state: ModelState, part: Path) -> None:
    arrays: dict[str, Any] = {
        "weights": state.weights,
        **pack("histories", state.histories),
        **pack("seen", state.seen),
    }
    if state.cold_weights is not None and state.cold is not None:
        arrays |= {"cold_weights": state.cold_weights, "cold": state.cold}
    for signal in state.signals:
        arrays |= {f"signal.{signal.name}.{key}": array for key, array in signal.arrays().items()}
    save_file({key: _plain(array) for key, array in arrays.items()}, part / "arrays.safetensors")
    report = state.report
    table = report.honesty.astype(object).where(report.honesty.notna(), None)
    described = {
        "signals": list(state.names),
        "config": state.config.to_dict(),
        "report": {
            "honesty": {"columns": list(table.columns), "data": table.to_numpy().tolist()},
            "seconds": dict(report.seconds),
            "notes": list(report.notes),
            "k": report.k,
            "n_users": report.n_users,
            "n_pairs": report.n_pairs,
            "cross_fitted": report.cross_fitted,
        },
    }
    (part / "description.json").write_text(json.dumps(described, indent=1, allow_nan=False), encoding="utf-8")
    write_snapshot(state.kg, part)


def _read(part: Path) -> ModelState:
    described = json.loads((part / "description.json").read_text(encoding="utf-8"))
    arrays = load_file(part / "arrays.safetensors")
    config = HybridConfig.from_dict(described["config"])
    signals = []
    for name in described["signals"]:
        prefix = f"signal.{name}."
        own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        signals.append(config.signal(name).restore(own))
    report = dict(described["report"])
    report["honesty"] = pd.DataFrame(**report["honesty"])
    report["notes"] = tuple(report["notes"])
    return ModelState(
        config=config,
        kg=read_snapshot(part),
        signals=tuple(signals),
        weights=arrays["weights"],
        histories=sparse.csr_matrix(unpack("histories", arrays)),
        seen=sparse.csr_matrix(unpack("seen", arrays)),
        report=FitReport(**report),
        cold_weights=arrays.get("cold_weights"),
        cold=arrays["cold"].astype(bool) if "cold" in arrays else None,
    )


def _plain(array: Any) -> Any:
    array = np.array(array, order="C", copy=None)
    return array.astype(np.uint8) if array.dtype == bool else array


def _target(folder: str | Path) -> VersionedFolder:
    return VersionedFolder(folder, _INDEX)


def _version() -> str:
    import kgenre

    return kgenre.__version__
