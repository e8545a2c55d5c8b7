"""The fit: encode texts, hold out, tune each signal, learn the fusion, compare with simple peers, refit."""

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from kgenre.encoders import TextEncoder
from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError
from kgenre.graph.progress import bar

from . import memory
from .cold import ColdTask, ColdWeights, learn_cold_weights, matched_scale
from .cold_users import cold_users, sentence
from .config import CARD, HybridConfig
from .data import FloatArray, SignalData
from .fusion import learn_weights, standardise, weighted_sum
from .honesty import peers
from .signals import SIGNALS, Signal
from .signals.closed_form import MAX_ITEMS, ClosedFormConfig, SlimConfig
from .signals.products import DENSE_ITEMS
from .split import hold_out
from .state import FitReport, ModelState, histories_of, union
from .tuning import Fitted, Validation, fit_signal, refit_signal

log = logging.getLogger(__name__)

_MOST_ITEMS = {"slim": DENSE_ITEMS, "cold": MAX_ITEMS}


@dataclass
class _Run:
    """One fit's notes and clock."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Any:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def note(self, text: str) -> None:
        self.notes.append(text)
        log.warning("%s", text)


def fit(
    kg: KnowledgeGraph,
    config: HybridConfig,
    held_out: sparse.csr_matrix | None,
    encoder: TextEncoder | None = None,
) -> ModelState:
    """Fit everything.

    Parameters
    ----------
    kg
        The graph.
    config
        Settings.
    held_out
        Validation likes, CSR of shape (n_users, n_items): tuned on, never trained on, and treated as seen. None
        holds out a share of each user's likes, and refits on everything in the end.
    encoder
        Encodes names and texts; by default one made of ``config.text_encoder``.

    Raises
    ------
    DataError
        If there is nothing to learn from, or only one user or item.
    """
    run = _Run()
    for kind, n in (("user", kg.n_users), ("item", kg.n_items)):
        if n < 2:
            found = f"only 1 {kind}" if n else f"no {kind}s"
            raise DataError(f"the graph has {found}; a recommender needs at least 2, so add some")
    if not kg.likes.nnz:
        raise DataError("the graph has no likes (interactions with a weight above 0); add some to learn from")
    memory.check(kg, config, config.signals)
    with run.stage("text"):
        item_text, node_text = _texts_that_are_read(kg, config, encoder)
    whole = SignalData.from_graph(kg, item_text, node_text)
    own_split = held_out is None
    if held_out is None:
        training, held_out = hold_out(kg.likes, config.validation.share, _if_known(whole.ages), config.seed)
    else:
        training = kg.likes
        overlap = int(held_out.multiply(training).nnz)
        if overlap:
            run.note(f"{overlap} validation pairs are also in the training data; they count as training only")
            held_out = sparse.csr_matrix(held_out - held_out.multiply(training))
            held_out.eliminate_zeros()
    seen = kg.seen if own_split else union(kg.seen, held_out)
    validated = bool(held_out.nnz)
    task = ColdTask.of(whole, kg.dislikes, config) if validated else None
    names = _names(config, whole, task is not None, run)
    if not validated:
        reason = (
            "nobody has the three likes it takes to hold one out"
            if own_split
            else "the validation set is empty"
        )
        run.note(f"{reason}: nothing was validated, and settings and weights are those of the configuration")
        return _without_validation(kg, config, whole, names, seen, run)
    data = whole.with_likes(training)
    validation = Validation.of(
        histories_of(kg, config.history_half_life_days, training),
        held_out,
        union(training, kg.dislikes),
        config.validation.k,
        config.validation.users,
        config.seed,
    )
    fitted, unseen = _fit_signals(config, names, data, validation, task, run)
    with run.stage("fusion"):
        weights, fused, fused_ndcg = _fuse(config, fitted, validation)
    honesty = _honesty(config, fitted, weights, fused, fused_ndcg, data, validation, run)
    with run.stage("cold users"):
        signals = [found.signal for found in fitted.values()]
        blend = config.fusion.method == "blend"
        if few := cold_users(signals, weights, validation, config.seed, blend):
            run.notes.append(sentence(few, validation.k))
    used, cold_weights = weights > 0, None
    if task is not None:
        with run.stage("fusion"):
            learned = learn_cold_weights(task, names, unseen, config)
            cold_weights = learned.weights * matched_scale(fused, validation, learned.fused, task.validation)
            used |= cold_weights > 0
            rows = _cold_honesty(task, unseen, names, cold_weights, learned, honesty)
            honesty = pd.concat([honesty, rows], ignore_index=True)
    chosen = config.model_copy(update={name: fitted[name].signal.config for name in names})
    kept = [name for name, use in zip(names, used, strict=True) if use or name in CARD]
    places = [names.index(name) for name in kept]
    signals = [fitted[name].signal for name in kept]
    if own_split:
        with run.stage("refit on everything"):
            signals = [
                signal.refit(whole) for signal in bar(signals, desc="refit on everything", unit="signal")
            ]
    return ModelState(
        config=chosen,
        kg=kg,
        signals=tuple(signals),
        weights=weights[places],
        histories=histories_of(kg, config.history_half_life_days),
        seen=seen,
        report=FitReport(
            honesty=honesty,
            seconds=dict(run.seconds),
            notes=tuple(run.notes),
            k=config.validation.k,
            n_users=len(validation.users),
            n_pairs=int(validation.relevant.nnz),
            cross_fitted=config.fusion.method == "learned",
        ),
        cold_weights=None if cold_weights is None else cold_weights[places],
        cold=None if cold_weights is None else whole.item_degree == 0,
    )


def _texts_that_are_read(
    kg: KnowledgeGraph, config: HybridConfig, encoder: TextEncoder | None
) -> tuple[FloatArray | None, FloatArray | None]:
    """What `encode_texts` gives of the texts that some signal reads: most of a small fit is this."""
    names = {*config.signals, *(CARD if config.fusion.method == "learned" else ())}
    reads = {config.signal(name).reads for name in names}
    if reads == {"nothing"}:
        return None, None
    encoder = encoder or TextEncoder(config.text_encoder)
    if "nodes" in reads:
        return encode_texts(kg, encoder)
    return encode_texts(kg, encoder, others=False)[0], None


def encode_texts(
    kg: KnowledgeGraph, encoder: TextEncoder, *, others: bool = True
) -> tuple[FloatArray | None, FloatArray | None]:
    """Vectors of the items' texts (else names) and of every node's; None where nothing has any.

    Without `others` the items' alone are encoded.
    """
    items = _texts(kg.items)
    first = kg.n_users if others else 0
    texts: list[str | None] = [None] * first
    texts += items
    for table in kg.tables[2:] if others else ():
        texts += _texts(table)
    if not any(texts):
        return None, None
    vectors = encoder.encode(texts)
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1) & ~np.isnan(vectors).all(axis=1))
    if len(broken):
        node = kg.node_id(kg.n_users - first + int(broken[0]))
        raise DataError(
            f"{len(broken)} text vectors are not finite, the first that of {node!r}; "
            f"correct the text or use another text model (now {encoder.config.model})"
        )
    item_text = vectors[first : first + kg.n_items]
    return (item_text if any(items) else None), (vectors if others else None)


def _texts(table: Any) -> list[str | None]:
    texts, names = table.texts.to_pylist(), table.names.to_pylist()
    return [text or name for text, name in zip(texts, names, strict=True)]


def _if_known(ages: FloatArray | None) -> FloatArray | None:
    return ages if ages is not None and ages.any() else None


def _names(config: HybridConfig, data: SignalData, unseen: bool, run: _Run) -> list[str]:
    names = [name for name in config.signals if _possible(name, config, data, unseen, run)]
    if config.fusion.method == "learned":
        names += [name for name in CARD if name not in names]
    return names


def _possible(name: str, config: HybridConfig, data: SignalData, unseen: bool, run: _Run) -> bool:
    if config.fusion.method != "learned" or name in CARD:
        return True
    if SIGNALS[name].for_unseen and not unseen:
        return False
    most = _MOST_ITEMS.get(name, data.n_items)
    if data.n_items > most:
        run.note(f"signal {name} is left out: {data.n_items} items are more than the {most} it can take")
        return False
    if name == "facts" and not data.facts:
        run.note("signal facts is left out: no fact touches an item")
        return False
    return True


def _fit_signals(
    config: HybridConfig,
    names: list[str],
    data: SignalData,
    validation: Validation,
    task: ColdTask | None,
    run: _Run,
) -> tuple[dict[str, Fitted], dict[str, Fitted]]:
    """Signals fitted on the training likes, and those that were tried on held-out items without these."""
    fitted: dict[str, Fitted] = {}
    unseen: dict[str, Fitted] = {}
    with bar(total=len(names), desc="signals", unit="signal") as progress:
        # The closed form comes before SLIM, which takes over what was found for the prior they share.
        for name in sorted(names, key=lambda name: name == "slim"):
            progress.set_postfix_str(name)
            signal = config.signal(name)
            if name == "slim" and "closed_form" in fitted and config.tune:
                signal = type(signal)(_inherit(config.slim, fitted["closed_form"].signal.config))
            with run.stage(name):
                if task is not None and signal.for_unseen:
                    unseen[name] = task.tune(signal, config.tune)
                    fitted[name] = refit_signal(unseen[name].signal, data, validation)
                else:
                    fitted[name] = fit_signal(signal, data, validation, config.tune)
                    if task is not None and signal.judges_unseen:
                        unseen[name] = refit_signal(fitted[name].signal, task.data, task.validation)
            progress.update()
    return {name: fitted[name] for name in names}, unseen


def _inherit(slim: SlimConfig, found: ClosedFormConfig) -> SlimConfig:
    update = {key: getattr(found, key) for key in ("facts", "text", "idf_power", "text_power", "user_power")}
    # Its lasso is a penalty too: of the ridge and of dropout it wants less, in proportion.
    for key in ("regularization", "dropout"):
        usual, own = (type(part).model_fields[key].default for part in (found, slim))
        update[key] = getattr(found, key) * own / usual
    return slim.model_copy(update={key: update[key] for key in update.keys() - slim.model_fields_set})


def _fuse(
    config: HybridConfig, fitted: dict[str, Fitted], validation: Validation
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], FloatArray, float]:
    """Weights, the fused scores and their ndcg (each user judged by weights learned without them)."""
    if config.fusion.method == "blend":
        parts = [np.nan_to_num(found.scores) for found in fitted.values()]
    else:
        parts = [standardise(found.scores, validation.seen).values for found in fitted.values()]
    if config.fusion.method == "learned":
        learned = learn_weights(parts, validation.relevant, validation.seen, config.fusion, config.seed)
        weights, ndcg = learned.weights, learned.ndcg
    else:
        weights, ndcg = np.array([config.fusion.weights[name] for name in fitted]), float("nan")
    fused = weighted_sum(weights, parts)
    return weights, fused, ndcg if np.isfinite(ndcg) else validation.ndcg(fused)


def _honesty(
    config: HybridConfig,
    fitted: dict[str, Fitted],
    weights: np.ndarray[Any, np.dtype[np.float64]],
    fused: FloatArray,
    fused_ndcg: float,
    data: SignalData,
    validation: Validation,
    run: _Run,
) -> pd.DataFrame:
    rows: list[tuple[str, str, float, float, float, str]] = []
    for weight, (name, found) in zip(weights, fitted.items(), strict=True):
        if config.fusion.method != "learned":
            verdict = "fixed weight"
        elif weight > 0:
            verdict = "earns its weight"
        else:
            verdict = "no weight; stays in the ledger" if name in CARD else "no weight; dropped"
        rows.append((name, "signal", found.ndcg, validation.recall(found.scores), float(weight), verdict))
    if config.baselines:
        with run.stage("peers"):
            for peer in bar(peers(), desc="peers", unit="peer"):
                found = fit_signal(peer, data, validation, config.tune)
                recalled = validation.recall(found.scores)
                verdict = "beaten" if found.ndcg < fused_ndcg else "not beaten"
                rows.append((peer.name, "peer", found.ndcg, recalled, float("nan"), verdict))
                if found.ndcg >= fused_ndcg:
                    run.note(
                        f"{peer.name} alone reaches {found.ndcg:.4f} on validation and the fusion {fused_ndcg:.4f}: "
                        "the simpler model is as good here"
                    )
    rows.append(("fusion", "fusion", fused_ndcg, validation.recall(fused), 1.0, "what you get"))
    k = validation.k
    return pd.DataFrame(rows, columns=["name", "kind", f"ndcg@{k}", f"recall@{k}", "weight", "verdict"])


def _cold_honesty(
    task: ColdTask,
    unseen: dict[str, Fitted],
    names: list[str],
    weights: np.ndarray[Any, np.dtype[np.float64]],
    learned: ColdWeights,
    honesty: pd.DataFrame,
) -> pd.DataFrame:
    """Rows of the honesty table for the ranking of held-out items among each other."""
    rows: list[tuple[str, str, float, float, float, str]] = []
    for name, weight in zip(names, weights, strict=True):
        if name in unseen:
            found = unseen[name]
            verdict = "for items without likes" if weight > 0 else "no weight for items without likes"
            rows.append(
                (name, "unseen", found.ndcg, task.validation.recall(found.scores), float(weight), verdict)
            )
    recalled = task.validation.recall(learned.fused)
    rows.append(("fusion", "unseen", learned.ndcg, recalled, 1.0, "what you get among items without likes"))
    return pd.DataFrame(rows, columns=honesty.columns)


def _without_validation(
    kg: KnowledgeGraph,
    config: HybridConfig,
    data: SignalData,
    names: list[str],
    seen: sparse.csr_matrix,
    run: _Run,
) -> ModelState:
    """Nothing is held out: signals as configured, with the configuration's weights or, without any, equal ones."""
    signals: list[Signal] = []
    for name in names:
        if name == "gnn":
            run.note("signal gnn is left out: without validation it cannot tell when to stop")
            continue
        with run.stage(name):
            signals.append(config.signal(name).fit(data))
    given = config.fusion.weights
    weights = np.array([given.get(signal.name, 0.0) if given else 1.0 for signal in signals])
    k = config.validation.k
    honesty = pd.DataFrame(columns=["name", "kind", f"ndcg@{k}", f"recall@{k}", "weight", "verdict"])
    return ModelState(
        config=config,
        kg=kg,
        signals=tuple(signals),
        weights=weights,
        histories=histories_of(kg, config.history_half_life_days),
        seen=seen,
        report=FitReport(honesty=honesty, seconds=dict(run.seconds), notes=tuple(run.notes), k=k),
    )
