"""A fitted model as a folder: safetensors, Parquet and JSON, no pickle.

``model.json`` names every file of the model with its sha256; a save replaces the whole in one step, see
`kgenre.graph.versioned_folder`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import save_file

from kgenre.graph import GraphStore, KnowledgeGraph
from kgenre.graph.errors import KgenreError, ModelError
from kgenre.graph.mapped_arrays import map_arrays
from kgenre.graph.snapshot_file import read_snapshot, write_snapshot
from kgenre.graph.store_log import Cursor
from kgenre.graph.versioned_folder import VersionedFolder

from .config import HybridConfig
from .data import SignalData
from .events import Event, Said
from .signals import Signal, TextCosine
from .signals.base import pack, unpack
from .signals.popularity import Popularity
from .spoken import PLAIN, Spoken
from .state import Drift, FitReport, Likes, ModelState

FORMAT = 2
"""Version of the layout; a newer one is refused."""
_INDEX = "model.json"
_EVENTS = "events.parquet"
_SETTLED, _SAID = "settled", "text"
"""Columns of the events: whether they move no weights any more, and the text; an older version wrote none."""


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


def check_store(state: ModelState, store: GraphStore, folder: str | Path) -> None:
    """Refuse a store that is not the one a model follows; raises `ModelError`."""
    cursor, there = state.drift.cursor, store.follow()
    if cursor is None:
        raise ModelError(
            f"{folder} was not fitted on a store that it can follow; load it without store=, or fit it on the store"
        )
    if there is None or there.log != cursor.log:
        raise ModelError(f"{folder} is the model of another graph than this store's; fit it on this store")


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
    arrays |= _drift_arrays(state)
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
        "drift": {
            "n_events": state.drift.n_events,
            "absorbed": state.drift.absorbed,
            "forgotten": list(state.drift.forgotten),
            "cursor": state.drift.cursor,
        },
    }
    events = [event for own in state.drift.events.values() for event in own.values()]
    if events:
        columns = {
            name: list(values) for name, values in zip(Event._fields, zip(*events, strict=True), strict=True)
        }
        settled = state.drift.settled
        said = state.drift.said
        words = [said.get(event.user, {}).get(event.item, ("", "")) for event in events]
        columns[_SAID] = [
            text if key == event.event_id else None for event, (key, text) in zip(events, words, strict=True)
        ]
        columns[_SETTLED] = [settled.get(event.user, {}).get(event.item) == event for event in events]
        pq.write_table(pa.table(columns), part / _EVENTS)
    (part / "description.json").write_text(json.dumps(described, indent=1, allow_nan=False), encoding="utf-8")
    write_snapshot(state.kg, part)


def _drift_arrays(state: ModelState) -> dict[str, Any]:
    """What was learned from, where it is not the graph's likes of now; the users by their place in the graph."""
    drift, arrays = state.drift, {}
    for name in ("new_to_tables", "new_to_weights"):
        if (fresh := getattr(drift, name)) is not None:
            arrays[f"drift.{name}"] = fresh
    for name, likes in (("tables", drift.tables), ("weights", drift.weights)):
        if likes.source is state.kg or (name == "weights" and likes is drift.tables):
            continue
        arrays |= pack(f"drift.{name}", likes.matrix)
        arrays[f"drift.{name}.users"] = state.kg.users.vocabulary.index(likes.users)
    return arrays


def _read_drift(part: Path, described: dict[str, Any], arrays: dict[str, Any], kg: KnowledgeGraph) -> Drift:
    found = {"tables": Likes.of(kg)}
    for name in ("tables", "weights"):
        if f"drift.{name}.users" in arrays:
            users = kg.users.vocabulary.ids[arrays[f"drift.{name}.users"]]
            found[name] = Likes(users, unpack(f"drift.{name}", arrays))
    # Kept apart only where they differ: weights on their own likes, tables on the graph's after an `absorb`.
    found.setdefault("weights", found["tables"])
    events: dict[str, dict[str, Event]] = {}
    settled: dict[str, dict[str, Event]] = {}
    said: dict[str, dict[str, Said]] = {}
    if (part / _EVENTS).is_file():
        columns = pq.read_table(part / _EVENTS).to_pydict()
        rows = list(map(Event._make, zip(*(columns[name] for name in Event._fields), strict=True)))
        over_of, text_of = columns.get(_SETTLED, [False] * len(rows)), columns.get(_SAID, [None] * len(rows))
        for event, over, text in zip(rows, over_of, text_of, strict=True):
            events.setdefault(event.user, {})[event.item] = event
            if text is not None:
                said.setdefault(event.user, {})[event.item] = Said(event.event_id, text)
            if over:
                settled.setdefault(event.user, {})[event.item] = event
    fresh = {
        name: arrays[f"drift.{name}"].astype(bool)
        for name in ("new_to_tables", "new_to_weights")
        if f"drift.{name}" in arrays
    }
    return Drift(
        tables=found["tables"],
        weights=found["weights"],
        new_to_tables=fresh.get("new_to_tables"),
        new_to_weights=fresh.get("new_to_weights"),
        n_events=described["n_events"],
        absorbed=described["absorbed"],
        forgotten=(described["forgotten"][0], described["forgotten"][1]),
        events=events,
        settled=settled,
        said=said,
        cursor=None if described["cursor"] is None else Cursor(*described["cursor"]),
    )


def _read(part: Path) -> ModelState:
    described = json.loads((part / "description.json").read_text(encoding="utf-8"))
    arrays = map_arrays(part / "arrays.safetensors")
    config = HybridConfig.from_dict(described["config"])
    kg = read_snapshot(part)
    signals: list[Signal] = []
    for name in described["signals"]:
        prefix = f"signal.{name}."
        own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        signal = config.signal(name)
        # Format 1 had no counts to go on from.
        old = isinstance(signal, Popularity) and "counts" not in own
        plain = {key.removeprefix(PLAIN): array for key, array in own.items() if key.startswith(PLAIN)}
        if plain and isinstance(signal, TextCosine):
            signals.append(Spoken.of(signal.restore(plain), own))
            continue
        signals.append(signal.fit(SignalData.from_graph(kg)) if old else signal.restore(own))
    report = dict(described["report"])
    report["honesty"] = pd.DataFrame(**report["honesty"])
    report["notes"] = tuple(report["notes"])
    return ModelState(
        config=config,
        kg=kg,
        signals=tuple(signals),
        weights=arrays["weights"],
        histories=unpack("histories", arrays),
        seen=unpack("seen", arrays),
        report=FitReport(**report),
        cold_weights=arrays.get("cold_weights"),
        cold=arrays["cold"].astype(bool) if "cold" in arrays else None,
        drift=_read_drift(part, described["drift"], arrays, kg)
        if "drift" in described
        else Drift(Likes.of(kg), Likes.of(kg)),
    )


def _plain(array: Any) -> Any:
    array = np.array(array, order="C", copy=None)
    return array.astype(np.uint8) if array.dtype == bool else array


def _target(folder: str | Path) -> VersionedFolder:
    return VersionedFolder(folder, _INDEX)


def _version() -> str:
    import kgenre

    return kgenre.__version__
