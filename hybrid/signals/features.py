"""Facts, text and words as item features and item-item similarities, shared by several signals."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from kgenre.graph.features import FactFeatures
from kgenre.graph.features import fact_features as features_of
from kgenre.hybrid.data import FloatArray, SignalData, diagonal

from .base import Moves
from .products import DENSE_ITEMS, MOST_TERMS, affordable, largest_products, nearest_vectors, without_diagonal
from .words import words_of

NEIGHBOURS = 100
"""Of each item, where a catalogue is too large for a whole item-item matrix."""


def fact_features(data: SignalData) -> FactFeatures:
    """The (relation, node) pairs of each item, computed once; see `kgenre.graph.features.fact_features`."""
    if "fact_features" not in data._knowledge:
        data._knowledge["fact_features"] = features_of(data.facts, data.n_users, data.n_items, data.n_nodes)
    found: FactFeatures = data._knowledge["fact_features"]
    return found


def facts_cosine(data: SignalData, power: float, of: int | None = None) -> sparse.csr_matrix:
    """Cosine of the items' idf-weighted fact rows, zero diagonal; CSR of shape (n_items, n_items).

    Above `DENSE_ITEMS` items each row holds the `NEIGHBOURS` nearest, and entities that join too many do not count.
    With `of` the inverse document frequencies are those among so many items.
    """
    key = f"facts_cosine {power} {of or data.n_items}"
    if key not in data._knowledge:
        weighted = fact_features(data).weighted(power, of)
        if data.n_items <= DENSE_ITEMS:
            data._knowledge[key] = without_diagonal(weighted @ weighted.T)
        else:
            few = affordable(weighted, MOST_TERMS)
            data._knowledge[key] = largest_products(few, sparse.csr_matrix(few.T), NEIGHBOURS)
    cosine: sparse.csr_matrix = data._knowledge[key]
    return cosine


def fact_columns(data: SignalData, power: float | None, of: int | None = None) -> sparse.csc_matrix:
    """The weighted fact rows by column (see `FactFeatures.weighted`), or with None the binary ones."""
    key = f"fact_columns {power} {of or data.n_items}"
    if key not in data._knowledge:
        features = fact_features(data)
        rows = features.matrix if power is None else features.weighted(power, of)
        data._knowledge[key] = sparse.csc_matrix(rows)
    columns: sparse.csc_matrix = data._knowledge[key]
    return columns


def facts_changed(data: SignalData, moves: Moves) -> npt.NDArray[np.int64]:
    """Items of now that have other facts than before, or share one with an item that has; those that are new too.

    Sorted indices; of a change whose `Moves.since` is known.
    """
    since = moves.since
    assert since is not None
    kept = data._knowledge.get("facts_changed")
    if kept is None or kept[0] is not since:
        data._knowledge["facts_changed"] = kept = since, _changed(since.data, data, since.items, moves.nodes)
    found: npt.NDArray[np.int64] = kept[1]
    return found


def _changed(
    before: SignalData, after: SignalData, items: npt.NDArray[np.int64], nodes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    was, now = fact_features(before), fact_features(after)
    names = {name: place for place, name in enumerate(sorted({*was.relations, *now.relations}))}
    pairs = []
    for features, item_of, node_of in ((was, items, nodes), (now, None, None)):
        matrix = features.matrix.tocoo()
        node = features.node.astype(np.int64)
        node = node if node_of is None else node_of[node]
        relation = np.array([names[name] for name in features.relations], dtype=np.int64)
        key = np.where(node < 0, -1, relation[features.relation] * after.n_nodes + node)[matrix.col]
        item = matrix.row.astype(np.int64) if item_of is None else item_of[matrix.row]
        pairs.append((item, key))
    width = len(names) * after.n_nodes + 2
    one, two = (np.sort((item + 1) * width + key + 1) for item, key in pairs)
    changed = np.empty(0, dtype=np.int64) if np.array_equal(one, two) else np.setxor1d(one, two)
    changed_items, changed_keys = changed // width - 1, changed % width - 1
    touched = np.zeros(after.n_items, dtype=bool)
    for item, key in pairs:
        found = item[np.isin(key, changed_keys[changed_keys >= 0])]
        touched[found[found >= 0]] = True
    touched[changed_items[changed_items >= 0]] = True
    kept = np.zeros(after.n_items, dtype=bool)
    kept[items[items >= 0]] = True
    return np.flatnonzero(touched | ~kept)


def text_column(data: SignalData, item: int, power: float) -> FloatArray:
    """One column of `text_cosine`, float32 of shape (n_items,), without the rest of it."""
    if data.item_text is None or np.isnan(data.item_text[item, 0]):
        return np.zeros(data.n_items, dtype=np.float32)
    vectors = unit_texts(data)
    column = np.maximum(vectors @ vectors[item], 0.0) ** power
    column[item] = 0.0
    return np.asarray(column, dtype=np.float32)


def unit_texts(data: SignalData) -> FloatArray:
    """The items' text vectors, centred and of length 1; rows of 0 where there is no text. Of data that has texts."""
    assert data.item_text is not None
    if "unit_texts" not in data._knowledge:
        data._knowledge["unit_texts"] = np.nan_to_num(unit(centred(data.item_text)))
    vectors: FloatArray = data._knowledge["unit_texts"]
    return vectors


def text_cosine(data: SignalData, power: float) -> FloatArray:
    """Cosine of the items' centred text vectors, clipped at 0, to `power`; zero diagonal and rows without text.

    Sentence vectors of one domain share a direction that says nothing about likeness, hence the centring; the power
    keeps a long history's many faint likenesses from drowning its few close ones.
    """
    key = f"text_cosine {power}"
    if key not in data._knowledge:
        cosine = np.zeros((data.n_items, data.n_items), dtype=np.float32)
        if data.item_text is not None:
            has_text = ~np.isnan(data.item_text[:, 0])
            vectors = unit(centred(data.item_text)[has_text])
            cosine[np.ix_(has_text, has_text)] = np.maximum(vectors @ vectors.T, 0.0) ** power
            np.fill_diagonal(cosine, 0.0)
        data._knowledge[key] = cosine
    result: FloatArray = data._knowledge[key]
    return result


def text_neighbours(data: SignalData, power: float) -> sparse.csr_matrix:
    """`text_cosine` as CSR; above `DENSE_ITEMS` items each row holds the `NEIGHBOURS` nearest."""
    if data.n_items <= DENSE_ITEMS:
        return sparse.csr_matrix(text_cosine(data, power))
    key = f"text_neighbours {power}"
    if key not in data._knowledge:
        near = sparse.csr_matrix((data.n_items, data.n_items)).astype(np.float32)
        if data.item_text is not None:
            near = nearest_vectors(np.nan_to_num(unit(centred(data.item_text))), NEIGHBOURS, power)
        data._knowledge[key] = near
    found: sparse.csr_matrix = data._knowledge[key]
    return found


def word_features(data: SignalData, power: float) -> sparse.csr_matrix:
    """Words and pairs of neighbouring words that at least two texts share, CSR of shape (n_items, n_features).

    A word counts 1 + log of its occurrences times its inverse document frequency to `power`; rows of length 1, empty
    without text.
    """
    key = f"word_features {power}"
    if key not in data._knowledge:
        counts = words_of(data).counts
        shared = np.bincount(counts.indices, minlength=counts.shape[1]) > 1
        words = unit_rows(tf_idf(sparse.csr_matrix(counts[:, shared]), power))
        # Else a product may sort it in place, and the next one adds up in another order.
        words.sort_indices()
        data._knowledge[key] = words
    found: sparse.csr_matrix = data._knowledge[key]
    return found


def tf_idf(counts: sparse.csr_matrix, power: float = 1.0) -> sparse.csr_matrix:
    """``(1 + log count) (1 + log((1 + n) / (1 + df)))^power``, of the shape of `counts`."""
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = (np.log((1 + counts.shape[0]) / (1 + frequency)) + 1) ** power
    values = (1 + np.log(counts.data)) * idf[counts.indices].astype(np.float32)
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape, dtype=np.float32)


def centred(vectors: FloatArray) -> FloatArray:
    """Vectors minus their mean over the rows that are not NaN."""
    known = ~np.isnan(vectors[:, 0])
    mean = vectors[known].mean(axis=0) if known.any() else 0.0
    return np.asarray(vectors - mean, dtype=np.float32)


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Sparse rows scaled to length 1; an empty row stays empty."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float64).ravel())
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return sparse.csr_matrix(diagonal(scale) @ matrix, dtype=np.float32)
