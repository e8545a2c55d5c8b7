"""A world of two tastes, of which every test knows the right answer.

Users 0..99 like items 0..9 and users 100..199 items 10..19, each five of the ten. Nodes come after the users and
items: node 220 is linked to the items of the first taste, node 221 to those of the second.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse

N_USERS, N_ITEMS, N_NODES = 200, 20, 222


def likes(seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = np.zeros((N_USERS, N_ITEMS), dtype=np.float32)
    for user in range(N_USERS):
        dense[user, rng.choice(10, size=5, replace=False) + 10 * (user >= 100)] = 1
    return sparse.csr_matrix(dense)


def held_out(matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Training and validation: one like of each user is held out."""
    train, validation = matrix.toarray(), np.zeros(matrix.shape, dtype=np.float32)
    for user in range(matrix.shape[0]):
        item = matrix.indices[matrix.indptr[user]]
        train[user, item], validation[user, item] = 0, 1
    return sparse.csr_matrix(train), sparse.csr_matrix(validation)


def facts(n_items: int = N_ITEMS, n_nodes: int = N_NODES) -> dict[str, sparse.csr_matrix]:
    dense = np.zeros((n_items, n_nodes), dtype=np.float32)
    dense[:10, 220] = 1
    dense[10:20, 221] = 1
    return {"theme": sparse.csr_matrix(dense)}


def text(n_items: int = N_ITEMS, seed: int = 1) -> npt.NDArray[np.float32]:
    """Eight components, the first of which tells the tastes apart."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_items, 8)) * 0.3
    vectors[:, 0] += np.where(np.arange(n_items) < n_items // 2, 1, -1)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
