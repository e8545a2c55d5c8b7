from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .errors import UnknownIdError, did_you_mean

IntArray = npt.NDArray[np.int32]


class Vocabulary:
    """External ids (strings) to contiguous int32 indices and back.

    Parameters
    ----------
    ids
        Unique strings; their order is their index.
    kind
        What an id names ("user", "item", "Person"), for messages.
    """

    def __init__(self, ids: Iterable[str], kind: str) -> None:
        array = np.array(list(ids), dtype=object)
        array.flags.writeable = False
        self.ids: npt.NDArray[np.object_] = array
        self.kind = kind

    @cached_property
    def _index(self) -> dict[str, int]:
        return {key: i for i, key in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __getitem__(self, index: int) -> str:
        return str(self.ids[index])

    def get(self, key: str) -> int:
        """Index of one id.

        Raises
        ------
        UnknownIdError
            If the id is unknown; the message offers the nearest ones.
        """
        index = self._index.get(str(key))
        if index is None:
            raise UnknownIdError(
                f"unknown {self.kind} {str(key)[:80]!r} (of {len(self)} known)"
                f"{did_you_mean(str(key), self.ids)}"
            )
        return index

    def index(self, keys: Sequence[str] | npt.NDArray[np.object_]) -> IntArray:
        """Indices of many ids, int32 of shape (len(keys),); raises like `get`."""
        return np.fromiter((self.get(key) for key in keys), dtype=np.int32, count=len(keys))

    def find(self, keys: Sequence[str] | npt.NDArray[np.object_]) -> IntArray:
        """Like `index`, but -1 where an id is unknown."""
        known = self._index
        return np.fromiter((known.get(str(key), -1) for key in keys), dtype=np.int32, count=len(keys))
