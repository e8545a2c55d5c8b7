"""Reasons in words: names, never ids, and what a thing is where it has no name."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from kgenre.graph import KnowledgeGraph

from .attribution import text_of
from .phrases import Phrases, is_verb, relation_words
from .signals.words import WORD


class Wording:
    """Says what a graph knows in the phrases of a language.

    Parameters
    ----------
    kg
        The graph.
    phrases
        The language.
    """

    def __init__(self, kg: KnowledgeGraph, phrases: Phrases) -> None:
        self.kg = kg
        self.phrases = phrases
        # Where no item has a name, the ids are what its people call them by.
        self._named = kg.items.names.null_count < len(kg.items)

    def item(self, item: int) -> str:
        """An item's name."""
        name: str | None = self.kg.items.names[item].as_py()
        if name:
            return name
        return self.phrases.say("nameless_item") if self._named else self.kg.items.vocabulary[item]

    def id_of(self, node: int) -> str | None:
        """External id of a node; None for another user, who is nobody's business."""
        table, row = self.kg.locate(node)
        return None if table is self.kg.users else table.vocabulary[row]

    def entity(self, node: int, liked: Sequence[int] = ()) -> str:
        """A node's name, or what it is."""
        table, row = self.kg.locate(node)
        if table is self.kg.users:
            return self.phrases.say("someone")
        name: str | None = table.names[row].as_py()
        if name:
            return name
        if len(liked) == 1:
            return self.phrases.say("nameless_one", label=table.label, name=self.item(liked[0]))
        if liked:
            items = self.kg.items.label.casefold() + "s"
            return self.phrases.say("nameless_shared", label=table.label, n=len(liked), items=items)
        return self.phrases.say("nameless", label=table.label)

    def is_named(self, node: int) -> bool:
        """Whether a node that is no user has a name."""
        table, row = self.kg.locate(node)
        return table is not self.kg.users and bool(table.names[row].as_py())

    def fact(
        self,
        fact: tuple[str, int],
        item: int,
        liked: Sequence[int] = (),
        disliked: Sequence[int] = (),
        speaks_for: bool = True,
    ) -> str:
        """What a fact says of an item, and who of the history has it too."""
        relation, node = fact
        kg = self.kg
        if kg.n_users <= node < kg.n_users + kg.n_items:
            other = node - kg.n_users
            if other == item:
                return self.phrases.say("series", words=relation_words(relation))
            if other in liked or other in disliked:
                return self.between(relation, other, item, other in liked)
        said = self.phrases.fact(relation, self.entity(node, liked))
        near = list(liked) or list(disliked)
        if not near:
            return self.phrases.say("alone" if speaks_for else "alone_against", fact=said)
        if not self.is_named(node) and liked and kg.locate(node)[0] is not kg.users:
            # "the an entity" is what a template would make of it.
            words = relation_words(relation).removesuffix("^-1")
            return self.phrases.say("nameless_fact", words=words, entity=self.entity(node, liked))
        names = self.phrases.names([self.item(one) for one in near])
        did = self.phrases.say("liked" if liked else "disliked")
        tail = f"（{did}）" if self.phrases.language == "zh" else f", {did}"
        return self.phrases.say("shared", fact=said, names=names + tail)

    def between(self, relation: str, liked: int, item: int, fond: bool = True) -> str:
        """A fact between something liked and the item."""
        matrix = self.kg.item_facts().get(relation)
        ahead = False
        if matrix is not None:
            ahead = self.kg.n_users + item in matrix.indices[slice(*matrix.indptr[liked : liked + 2])]
        head, tail = (liked, item) if ahead else (item, liked)
        words = relation_words(relation)
        you = self.phrases.say("you_liked" if fond else "you_disliked", name=self.item(liked))
        template = "between_verb" if is_verb(words) else "between"
        return self.phrases.say(
            template, you=you, subject=self.item(head), target=self.item(tail), words=words
        )

    def path(self, fact: tuple[str, int], start: int, item: int) -> str:
        """One path in words: what was liked, and what connects it."""
        return self.fact(fact, item, [start])

    def history(self, liked: int, item: int, fond: bool, alike: bool = True) -> str:
        """Something liked, and how many who liked it liked the item too; `alike` where it speaks as they do."""
        if liked == item:
            return self.phrases.say("already", did_it=self.phrases.say("liked_it" if fond else "disliked_it"))
        n = self.both_liked(liked, item)
        sentence = "history" if n > 1 else "history_one" if n else "history_none"
        sentence = sentence if alike else "history_against"
        return self.phrases.say(sentence, n=f"{n:,}", name=self.item(liked), did=self._did(fond))

    def text(self, liked: int, item: int, fond: bool, alike: bool = True) -> str:
        """Something liked whose description is like the item's, and the telling words that both have."""
        if liked == item:
            return self.history(liked, item, fond)
        if not alike:
            return self.phrases.say("text_against", name=self.item(liked), did=self._did(fond))
        words = self.common_words(liked, item)
        joined = self.phrases.sentences["comma"].join(words)
        sentence = "text_words" if words else "text"
        return self.phrases.say(sentence, name=self.item(liked), did=self._did(fond), words=joined)

    def described(self, liked: int, item: int, fond: bool, alike: bool = True) -> str:
        """Something liked, and that those who like it like such descriptions."""
        return self.phrases.say(
            "described" if alike else "described_against", name=self.item(liked), did=self._did(fond)
        )

    def popularity(self, item: int) -> str:
        """How many like an item."""
        return self.phrases.say("popularity", share=f"{self.liked_by(item) / max(self.kg.n_users, 1):.0%}")

    def liked_by(self, item: int) -> int:
        """How many users like an item."""
        return int(np.diff(self._by_item().indptr[item : item + 2])[0])

    def both_liked(self, one: int, other: int) -> int:
        """How many users like both items."""
        by_item = self._by_item()
        first, second = (by_item.indices[slice(*by_item.indptr[item : item + 2])] for item in (one, other))
        return len(np.intersect1d(first, second, assume_unique=True))

    def common_words(self, one: int, other: int, most: int = 3) -> list[str]:
        """Words that two items' descriptions share, the rarest first; those of every tenth item tell nothing."""
        frequency = self._frequency()
        common = words_of(text_of(self.kg, one)) & words_of(text_of(self.kg, other))
        common = {word for word in common if frequency[word] <= max(self.kg.n_items // 10, 2)}
        return sorted(common, key=lambda word: (frequency[word], word))[:most]

    def _did(self, fond: bool) -> str:
        return self.phrases.say("liked" if fond else "disliked")

    def _by_item(self) -> sparse.csc_matrix:
        if "likes by item" not in self.kg._cache:
            self.kg._cache["likes by item"] = sparse.csc_matrix(self.kg.likes)
        found: sparse.csc_matrix = self.kg._cache["likes by item"]
        return found

    def _frequency(self) -> Counter[str]:
        if "word frequency" not in self.kg._cache:
            counted: Counter[str] = Counter()
            for item in range(self.kg.n_items):
                counted.update(words_of(text_of(self.kg, item)))
            self.kg._cache["word frequency"] = counted
        found: Counter[str] = self.kg._cache["word frequency"]
        return found


def words_of(text: str | None) -> set[str]:
    """The words of a text that are longer than two letters."""
    return {word for word in WORD.findall((text or "").casefold()) if len(word) > 2}
