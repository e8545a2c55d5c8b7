import pytest

from kgenre.graph.errors import ConfigError
from kgenre.hybrid.phrases import LANGUAGES, Phrases, relation_words


@pytest.mark.parametrize(
    ("relation", "words", "said"),
    [
        ("DIRECTED_BY", "directed by", "directed by X"),
        ("film.film.directed_by", "directed by", "directed by X"),
        ("film.director.film", "director", "directed by X"),
        ("DIRECTED^-1", "directed^-1", "directed by X"),
        ("ACTED_IN^-1", "acted in^-1", "with X"),
        ("hasGenre", "genre", "of the genre X"),
        ("film.film_genre.films_in_this_genre", "genre", "of the genre X"),
        ("film.film.award_won", "award", "winner of the X"),
        ("https://example.org/terms#shotIn", "shot in", "shot in X"),
        ("schema:musicComposer", "music composer", "with the music composer X"),
        ("IN_SEASON", "in season", "in season X"),
        ("REVIEWED^-1", "reviewed^-1", "X reviewed it"),
        ("has", "has", "with the has X"),
    ],
)
def test_a_relation_in_words(relation: str, words: str, said: str):
    assert relation_words(relation) == words
    assert Phrases.of("en").fact(relation, "X") == said


def test_both_languages_say_the_same_sentences_and_relations():
    english, chinese = LANGUAGES["en"], LANGUAGES["zh"]
    assert set(english.sentences) == set(chinese.sentences)
    assert set(english.relations) <= set(chinese.relations)
    for language in LANGUAGES.values():
        for template in language.relations.values():
            assert template.format(entity="X").count("X") == 1
    assert chinese.fact("film.director.film", "王家卫") == "由王家卫执导"


def test_templates_of_ones_own_come_first():
    own = Phrases.of("en").adding({"DIRECTED_BY": "a film by {entity}", "cellar": "from the cellar {entity}"})
    assert own.fact("DIRECTED_BY", "Ada") == "a film by Ada"
    assert own.fact("film.film.directed_by", "Ada") == "directed by Ada"
    assert own.fact("hasCellar", "B2") == "from the cellar B2"
    assert Phrases.of("en").fact("DIRECTED_BY", "Ada") == "directed by Ada"


@pytest.mark.parametrize("template", ["a film", "a film by {name}", "a film by {entity", "by {entity.x}"])
def test_a_template_without_its_blank_is_refused(template: str):
    with pytest.raises(ConfigError, match=r"write \{entity\} where its name goes"):
        Phrases.of("en").adding({"DIRECTED_BY": template})


def test_an_unknown_language_is_refused():
    with pytest.raises(ConfigError, match=r"no reasons in language 'fr'.*use en, zh or Phrases"):
        Phrases.of("fr")


def test_an_entity_s_name_may_hold_braces():
    assert Phrases.of("en").fact("HAS_THEME", "{time}") == "about {time}"


def test_names_in_a_row():
    say = Phrases.of("en").names
    assert [say(list("abcd")[:n]) for n in (1, 2, 3, 4)] == [
        "a",
        "a and b",
        "a, b and 1 more",
        "a, b and 2 more",
    ]
