"""The sentences of reasons, by language: data that a user can add to.

A relation's template is what is said of the item: ``directed by {entity}``. It stands under the relation's own name or
under its words (`relation_words`), with ``^-1`` behind it where the relation is walked backwards; a name of its own
comes first, and a relation that has no template gets one from its words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kgenre.graph.errors import ConfigError, did_you_mean

_EN_SENTENCES = {
    "shared": "{fact}, like {names}",
    "alone": "{fact}: that suits what you liked",
    "alone_against": "{fact}: that does not suit what you liked",
    "between": "{you}; {target} is the {words} of {subject}",
    "between_verb": "{you}; {subject} is {words} {target}",
    "series": "it is one of a series ({words})",
    "noun": "with the {words} {entity}",
    "verb": "{words} {entity}",
    "backwards": "{entity} {words} it",
    "nameless": "an entity of type {label}",
    "nameless_shared": "an entity of type {label} linked to {n} {items} you liked",
    "nameless_one": "an entity of type {label} linked to {name}, which you liked",
    "nameless_fact": "{words}: {entity}",
    "someone": "somebody",
    "nameless_item": "an item without a name",
    "history": "{n} people who liked {name}, {did}, liked this too",
    "history_one": "1 person who liked {name}, {did}, liked this too",
    "history_none": "people who like {name}, {did}, tend to like things like this",
    "history_against": "people who like {name}, {did}, like other things more than this",
    "already": "{did_it} already",
    "text_words": "described like {name}, {did}: both speak of {words}",
    "text": "described like {name}, {did}",
    "text_against": "described less like {name}, {did}, than others are",
    "described": "people who like {name}, {did}, tend to like what is described as this is",
    "described_against": "people who like {name}, {did}, like what is described otherwise more",
    "popularity": "liked by {share} of all users",
    "average": "less what the same signals give an average item that you have not seen",
    "liked": "which you liked",
    "disliked": "which you disliked",
    "you_liked": "you liked {name}",
    "you_disliked": "you disliked {name}",
    "liked_it": "you liked it",
    "disliked_it": "you disliked it",
    "and": " and ",
    "comma": ", ",
    "more": "{names} and {n} more",
    "score": "{name}: score {score}",
    "not_in_list": "{name} is at place {rank}: its score lacks {gap} to the last of the best {k}",
    "listed": "{name} is at place {rank} of the best {k}",
    "not_listed": "{name} is not listed: {why}",
    "unknown": "{name} is not listed: no signal can say anything of it",
    "seen_liked": "you liked it already",
    "seen_disliked": "you disliked it",
    "seen_only": "you have seen it already",
    "lacks": "beside the listed it lacks most in: {signals}",
    "like_brings": "liking {name} would bring it to place {rank}",
    "like_lifts": "no single like brings it into the list; liking {name} would bring it to place {rank}",
    "fact_lifts": "were it {fact}, it would gain {adds} and be at place {rank}",
    "before": "{one} stands before {other} by {gap}",
    "for_one": "for {name}:",
    "what_if_same": "the same list",
    "what_if": "{came} of {k} are new, {moved} have moved",
    "came": "new: {names}",
    "left": "gone: {names}",
    "whole": "{signals}: not taken apart into facts and texts, for there are too many items",
    "rule": "rule {rule}: {does}",
    "rule_bars": "never lists it",
    "rule_brings": "lists it, at place {after}",
    "rule_takes": "takes it out of the list, from place {before}",
    "rule_moves": "moves it from place {before} to {after}",
    "rule_stays": "leaves it at place {after}",
    "rule_unlisted": "leaves it out of the best {k}",
    "map_shared": "near {name}: both {fact}",
    "map_people": "near {name}: {n} people like both",
    "map_person": "near {name}: 1 person likes both",
    "map_words": "near {name}: both are described by {words}",
    "map_near": "near {name}",
}
_ZH_SENTENCES = {
    "shared": "{fact}，与{names}一样",
    "alone": "{fact}：符合你的喜好",
    "alone_against": "{fact}：不符合你的喜好",
    "between": "{you}；{target}是{subject}的{words}",
    "between_verb": "{you}；{subject}与{target}的关系：{words}",
    "series": "属于一个系列（{words}）",
    "noun": "{words}是{entity}",
    "verb": "{words}：{entity}",
    "backwards": "{words}：{entity}",
    "nameless": "一个类型为{label}的实体",
    "nameless_shared": "一个与你喜欢的{n}项相连、类型为{label}的实体",
    "nameless_one": "一个与{name}相连、类型为{label}的实体",
    "nameless_fact": "{words}：{entity}",
    "someone": "某人",
    "nameless_item": "一个没有名称的条目",
    "history": "{n}位喜欢{name}（{did}）的人也喜欢它",
    "history_one": "1位喜欢{name}（{did}）的人也喜欢它",
    "history_none": "喜欢{name}（{did}）的人往往喜欢这类作品",
    "history_against": "喜欢{name}（{did}）的人更喜欢别的作品",
    "already": "{did_it}",
    "text_words": "介绍与{name}（{did}）相近：都提到{words}",
    "text": "介绍与{name}（{did}）相近",
    "text_against": "介绍与{name}（{did}）的相近程度不如其他作品",
    "described": "喜欢{name}（{did}）的人往往喜欢有这样介绍的作品",
    "described_against": "喜欢{name}（{did}）的人更喜欢另一类介绍的作品",
    "popularity": "全部用户中有{share}喜欢它",
    "average": "减去这些信号给予一个普通未看条目的分数",
    "liked": "你喜欢过",
    "disliked": "你不喜欢",
    "you_liked": "你喜欢{name}",
    "you_disliked": "你不喜欢{name}",
    "liked_it": "你已经喜欢它",
    "disliked_it": "你已经不喜欢它",
    "and": "和",
    "comma": "、",
    "more": "{names}等{n}项",
    "score": "{name}：得分{score}",
    "not_in_list": "{name}排在第{rank}位：与前{k}名的最后一名相差{gap}分",
    "listed": "{name}排在前{k}名中的第{rank}位",
    "not_listed": "{name}未列出：{why}",
    "unknown": "{name}未列出：没有信号能对它作出判断",
    "seen_liked": "你已经喜欢它",
    "seen_disliked": "你不喜欢它",
    "seen_only": "你已经看过它",
    "lacks": "与列出的相比，它最欠缺：{signals}",
    "like_brings": "如果你喜欢{name}，它会升到第{rank}位",
    "like_lifts": "没有任何单个喜欢能让它进入列表；如果你喜欢{name}，它会升到第{rank}位",
    "fact_lifts": "如果它{fact}，会增加{adds}分，排到第{rank}位",
    "before": "{one}领先{other} {gap}分",
    "for_one": "有利于{name}：",
    "what_if_same": "列表不变",
    "what_if": "{k}项中有{came}项是新的，{moved}项移动了位置",
    "came": "新增：{names}",
    "left": "移出：{names}",
    "whole": "{signals}：条目太多，未拆分为事实和文本",
    "rule": "规则 {rule}：{does}",
    "rule_bars": "从不列出它",
    "rule_brings": "把它列入，排在第{after}位",
    "rule_takes": "把它从第{before}位移出列表",
    "rule_moves": "把它从第{before}位移到第{after}位",
    "rule_stays": "仍排在第{after}位",
    "rule_unlisted": "仍不在前{k}名之内",
    "map_shared": "靠近{name}：两者都{fact}",
    "map_people": "靠近{name}：{n}人两者都喜欢",
    "map_person": "靠近{name}：1人两者都喜欢",
    "map_words": "靠近{name}：两者的介绍都提到{words}",
    "map_near": "靠近{name}",
}
_EN_RELATIONS = {
    "actor": "with {entity}",
    "starring": "with {entity}",
    "acted in^-1": "with {entity}",
    "director": "directed by {entity}",
    "directed^-1": "directed by {entity}",
    "writer": "written by {entity}",
    "wrote^-1": "written by {entity}",
    "author": "by {entity}",
    "producer": "produced by {entity}",
    "produced^-1": "produced by {entity}",
    "cinematographer": "shot by {entity}",
    "cinematography": "shot by {entity}",
    "genre": "of the genre {entity}",
    "theme": "about {entity}",
    "subject": "about {entity}",
    "award nomination": "nominated for the {entity}",
    "award": "winner of the {entity}",
    "country": "from {entity}",
    "language": "in {entity}",
    "content rating": "rated {entity}",
    "production company": "made by {entity}",
    "music": "with music by {entity}",
    "artist": "by {entity}",
    "performer": "performed by {entity}",
    "publisher": "published by {entity}",
    "brand": "of the brand {entity}",
    "category": "in the category {entity}",
    "tag": "tagged {entity}",
    "part of": "part of {entity}",
    "series": "of the series {entity}",
}
_ZH_RELATIONS = {
    "actor": "由{entity}出演",
    "starring": "由{entity}出演",
    "acted in^-1": "由{entity}出演",
    "director": "由{entity}执导",
    "directed by": "由{entity}执导",
    "directed^-1": "由{entity}执导",
    "writer": "由{entity}编剧",
    "written by": "由{entity}编剧",
    "wrote^-1": "由{entity}编剧",
    "author": "作者是{entity}",
    "producer": "由{entity}制片",
    "produced by": "由{entity}制片",
    "produced^-1": "由{entity}制片",
    "cinematographer": "由{entity}摄影",
    "cinematography": "由{entity}摄影",
    "genre": "类型是{entity}",
    "theme": "主题是{entity}",
    "subject": "主题是{entity}",
    "award nomination": "获得{entity}提名",
    "award": "获得{entity}",
    "country": "来自{entity}",
    "language": "语言是{entity}",
    "content rating": "分级为{entity}",
    "production company": "由{entity}出品",
    "music": "配乐是{entity}",
    "artist": "演唱者是{entity}",
    "performer": "由{entity}表演",
    "publisher": "由{entity}出版",
    "brand": "品牌是{entity}",
    "category": "属于{entity}类",
    "tag": "标签是{entity}",
    "part of": "属于{entity}",
    "series": "属于{entity}系列",
}
_WORDS = {
    "film.film.cinematography": "cinematographer",
    "film.film.rating": "content rating",
    "film.film.award_won": "award",
    "film.film.production_companies": "production company",
    "film.film.subjects": "subject",
    "film.film_subject.films": "subject",
    "film.film_genre.films_in_this_genre": "genre",
}
_SYNONYMS = {"themes": "theme", "genres": "genre", "actors": "actor", "subjects": "subject", "tags": "tag"}
_PREPOSITIONS = ("by", "in", "of", "from", "at", "about", "on", "to", "for", "with", "near")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def relation_words(relation: str) -> str:
    """A relation's name as words.

    ``DIRECTED_BY``, ``hasGenre`` and ``film.director.film`` give ``directed by``, ``genre`` and ``director``.
    """
    backwards = "^-1" if relation.endswith("^-1") else ""
    name = relation.removesuffix("^-1")
    if name in _WORDS:
        return _WORDS[name]
    for mark in "#/:":
        name = name.rstrip(mark).rsplit(mark, 1)[-1]
    steps = name.split(".")
    # Freebase names a property domain.type.property, and its inverse domain.other_type.type.
    if len(steps) > 2 and steps[-1] in (steps[0], steps[0] + "s"):
        name, backwards = steps[-2].removeprefix(steps[0] + "_"), ""
    else:
        name = steps[-1]
    words = " ".join(_CAMEL.sub(" ", name.replace("_", " ").replace("-", " ")).casefold().split())
    for prefix in ("has ", "is "):
        words = words.removeprefix(prefix) if len(words) > len(prefix) else words
    words = _SYNONYMS.get(words, words)
    return words + backwards if backwards and not words.endswith(backwards) else words


@dataclass(frozen=True)
class Phrases:
    """What reasons are said with.

    Attributes
    ----------
    language
        ``en`` or ``zh``, or a name of your own.
    sentences
        Templates of sentences.
    relations
        Templates by relation; see the module.

    Examples
    --------
    >>> Phrases.of("en").adding({"DIRECTED_BY": "a film by {entity}"}).fact("DIRECTED_BY", "Ada Stone")
    'a film by Ada Stone'
    """

    language: str
    sentences: Mapping[str, str] = field(repr=False)
    relations: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, language: "str | Phrases") -> "Phrases":
        """The phrases of a language, ``en`` or ``zh``; phrases stay what they are.

        Raises
        ------
        ConfigError
            For another language.
        """
        if isinstance(language, Phrases):
            return language
        if language not in LANGUAGES:
            raise ConfigError(
                f"no reasons in language {language!r}{did_you_mean(language, LANGUAGES)}; use en, zh or Phrases"
            )
        return LANGUAGES[language]

    def adding(self, relations: Mapping[str, str], sentences: Mapping[str, str] = {}) -> "Phrases":
        """A copy with templates of your own, each with ``{entity}`` in it.

        Raises
        ------
        ConfigError
            If a template lacks its ``{entity}`` or needs something else, or there is no such sentence.
        """
        for relation, template in relations.items():
            try:
                fits = "\0" in template.format(entity="\0")
            except (KeyError, IndexError, ValueError, AttributeError):
                fits = False
            if not fits:
                raise ConfigError(
                    f"template {template!r} of {relation!r}: write {{entity}} where its name goes"
                )
        for name in sentences:
            if name not in self.sentences:
                raise ConfigError(f"no sentence {name!r}{did_you_mean(name, self.sentences)}")
        return replace(
            self,
            relations={**self.relations, **relations},
            sentences={**self.sentences, **sentences},
        )

    def say(self, sentence: str, **values: object) -> str:
        """A sentence with its blanks filled."""
        return self.sentences[sentence].format(**values)

    def fact(self, relation: str, entity: str) -> str:
        """What a fact says of its item: "directed by Ridley Scott"."""
        words = relation_words(relation)
        for name in (relation, words):
            if name in self.relations:
                return self.relations[name].format(entity=entity)
        base = words.removesuffix("^-1")
        if base != words:
            if base in self.relations:
                return self.relations[base].format(entity=entity)
            return self.say("backwards", words=base, entity=entity)
        return self.say("verb" if is_verb(base) else "noun", words=base, entity=entity)

    def names(self, names: list[str], most: int = 2) -> str:
        """Some names in a row: "A, B and 3 more"."""
        shown, rest = names[:most], len(names) - most
        if rest > 0:
            n = rest if self.language != "zh" else len(names)
            return self.say("more", names=self.sentences["comma"].join(shown), n=n)
        if len(shown) < 2:
            return "".join(shown)
        return self.sentences["comma"].join(shown[:-1]) + self.sentences["and"] + shown[-1]


def is_verb(words: str) -> bool:
    """Whether a relation's words want its entity behind them, as in "shot in"."""
    steps = words.split(" ")
    return steps[-1] in _PREPOSITIONS or steps[0] in _PREPOSITIONS


LANGUAGES = {
    "en": Phrases("en", _EN_SENTENCES, _EN_RELATIONS),
    "zh": Phrases("zh", _ZH_SENTENCES, _ZH_RELATIONS),
}
"""What ships."""
