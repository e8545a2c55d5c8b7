import re
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pyoxigraph
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st

from kgenre.graph import KnowledgeGraph
from kgenre.graph.errors import DataError

FILMS = Path(__file__).parents[2] / "examples" / "films.ttl"
PREFIXES = """
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix schema: <https://schema.org/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix k: <urn:kgenre:ns:> .
@prefix x: <http://example.org/> .
"""
XSD = "http://www.w3.org/2001/XMLSchema#"
SHOP = """
x:ann a foaf:Person ; x:bought x:alien, x:babe .
x:alien a x:Film ; rdfs:label "Alien" ; rdfs:comment "In space." ; x:imdb "tt1" ; x:year 1979 ; x:score 8.5 ;
    x:tag "scary", "dark" ; x:directed x:scott ; x:seen true .
x:babe a x:Film ; schema:name "Babe"@en, "Ein Schweinchen"@de ; x:imdb "tt2" ; x:year 1995 ; x:tag "pig" .
x:scott a foaf:Person ; foaf:name "Ridley Scott" .
"""


@pytest.fixture
def read(tmp_path):
    def read(turtle, suffix=".ttl", **options):
        path = tmp_path / f"graph{suffix}"
        path.write_text(PREFIXES + turtle)
        return KnowledgeGraph.from_rdf(path, **options)

    return read


@given(data=st.data())
def test_rdf_of_any_graph_is_the_same_graph(graphs, data):
    kg = data.draw(graphs)
    assert KnowledgeGraph.from_rdf(kg.to_rdf()).differences(kg) == []


@pytest.mark.filterwarnings(
    "ignore:Dataset.(default_context|contexts) is deprecated"
)  # rdflib's own serializers
@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        ("ttl", "turtle"),
        ("nt", "nt"),
        ("rdf", "xml"),
        ("jsonld", "json-ld"),
        ("trig", "trig"),
        ("nq", "nquads"),
    ],
)
def test_every_file_format_gives_the_same_graph(small, tmp_path, suffix, form):
    graph = small.to_rdf()
    if form in ("trig", "nquads"):
        dataset = rdflib.Dataset()
        for triple in graph:
            dataset.add(triple)
        graph = dataset
    path = tmp_path / f"graph.{suffix}"
    graph.serialize(path, format=form, encoding="utf-8")
    assert KnowledgeGraph.from_rdf(path).differences(small) == []


def test_rdflib_datasets_are_taken_with_all_their_graphs(small):
    dataset = rdflib.Dataset()
    for n, triple in enumerate(small.to_rdf()):
        dataset.graph(rdflib.URIRef(f"urn:g:{n % 2}")).add(triple)
    kg = KnowledgeGraph.from_rdf(dataset)
    assert kg.items.properties.column_names == ["graphs", "statement_graphs"]
    names = {name for row in kg.items.properties.column("graphs").to_pylist() for name in row}
    assert names == {"urn:g:0", "urn:g:1"}
    assert [facts.tail.tolist() for facts in kg.facts] == [facts.tail.tolist() for facts in small.facts]
    assert kg.items.names.equals(small.items.names)


def test_classes_literals_and_links_become_labels_properties_and_facts(read):
    kg = read(SHOP, item_type="Film")
    assert kg.labels == ("User", "Film", "Person")
    assert list(kg.items.vocabulary) == ["http://example.org/alien", "http://example.org/babe"]
    assert kg.items.names.to_pylist() == ["Alien", "Babe"]
    assert kg.items.texts.to_pylist() == ["In space.", None]
    assert kg.items.properties.drop_columns(["name@de", "name@en"]).to_pylist() == [
        {"imdb": "tt1", "score": 8.5, "seen": True, "tag": ["dark", "scary"], "year": 1979},
        {"imdb": "tt2", "score": None, "seen": None, "tag": ["pig"], "year": 1995},
    ]
    assert kg.relations == ("bought", "directed")
    assert kg.node_name(kg.relation("directed").tail[0]) == "Ridley Scott"


def test_items_users_ids_interactions_and_relations_are_what_the_caller_names(read):
    kg = read(
        SHOP,
        item_type="http://example.org/Film",
        user_type="Person",
        item_id="imdb",
        interacted="bought",
        relations={"directed": "DIRECTED_BY"},
    )
    assert kg.labels == ("Person", "Film")
    assert list(kg.items.vocabulary) == ["tt1", "tt2"]
    assert kg.items.properties.column("uri").to_pylist() == [
        "http://example.org/alien",
        "http://example.org/babe",
    ]
    assert kg.n_interactions == 2
    assert kg.relations == ("DIRECTED_BY",)


def test_a_file_can_say_itself_what_its_items_are(read):
    kg = read(
        SHOP
        + """x:Film rdfs:subClassOf x:Product . x:Product rdfs:subClassOf k:Item .
        x:imdb rdfs:subPropertyOf k:id . x:bought rdfs:subPropertyOf k:interacted .
        x:directed rdfs:subPropertyOf <urn:kgenre:relation:DIRECTED%20BY> .
        x:ann a x:Customer . x:Customer rdfs:subClassOf k:User ."""
    )
    assert kg.labels[0] == "Customer"
    assert list(kg.items.vocabulary) == ["tt1", "tt2"]
    assert kg.n_interactions == 2
    assert kg.relations == ("DIRECTED BY",)
    assert kg.items.label == "Item"


def test_an_item_with_two_ids_is_two_items_with_all_its_facts(read):
    kg = read(
        'x:a a x:Film ; rdfs:label "Alien" ; x:key "1", "2" ; x:by x:b .', item_type="Film", item_id="key"
    )
    assert list(kg.items.vocabulary) == ["1", "2"]
    assert kg.items.names.to_pylist() == ["Alien", "Alien"]
    assert len(kg.relation("by")) == 2


def test_items_without_the_asked_id_keep_their_iri_and_are_counted(read, caplog):
    kg = read(SHOP + "x:third a x:Film ; x:year 2000 .", item_type="Film", item_id="imdb")
    assert "1 items have no imdb" in caplog.text
    assert list(kg.items.vocabulary) == ["http://example.org/third", "tt1", "tt2"]


def test_names_that_two_vocabularies_share_get_their_prefix(read):
    kg = read(
        """x:a a x:Film ; x:title "Alien" ; foaf:title "Ms" ; x:knows x:b ; foaf:knows x:b .
        x:b a foaf:Film ; x:name "b" ; <http://other.example/name> "c" ."""
    )
    assert kg.labels == ("User", "Item", "foaf__Film", "x__Film")
    assert kg.relations == ("foaf__knows", "x__knows")
    assert kg.table("x__Film").properties.column_names == ["foaf__title", "x__title"]
    assert kg.table("foaf__Film").properties.column_names == ["ns0__name", "x__name"]


def test_ontology_is_no_node(read):
    kg = read(
        """x:Film a owl:Class ; rdfs:label "film" ; rdfs:subClassOf x:Work ; x:note "n" .
        x:by a owl:ObjectProperty ; rdfs:domain x:Film ; rdfs:label "by" .
        x:a a x:Film, owl:NamedIndividual ; x:by x:b ; owl:sameAs x:c ."""
    )
    assert [kg.node_id(n).rpartition("/")[2] for n in range(kg.n_nodes)] == ["b", "a"]
    assert kg.labels == ("User", "Item", "Entity", "Film")


def test_lists_keep_their_order_and_lists_of_resources_are_facts(read):
    kg = read('x:a a x:Film ; x:steps ("c" "a" "b" "a") ; x:cast (x:p x:q) ; x:none () .')
    assert kg.table("Film").properties.to_pylist() == [{"none": [], "steps": ["c", "a", "b", "a"]}]
    assert len(kg.relation("cast")) == 2


def test_values_of_mixed_types_are_strings_and_numbers_of_two_kinds_floats(read):
    kg = read(
        """x:a a x:T ; x:p 1 ; x:q 1 ; x:big 99999999999999999999 ; x:bad "no"^^xsd:integer .
        x:b a x:T ; x:p "one" ; x:q 2.5 ; x:big 1 ; x:bad 2 ."""
    )
    assert kg.table("T").properties.drop_columns(["p^^xsd:integer"]).to_pylist() == [
        {"bad": "no", "big": "99999999999999999999", "p": "1", "q": 1.0},
        {"bad": "2", "big": "1", "p": "one", "q": 2.5},
    ]


def test_anonymous_nodes_are_numbered_alike_each_time(read):
    turtle = 'x:a x:by [ rdfs:label "one" ], [ rdfs:label "two" ] .'
    one = read(turtle)
    assert one.equals(read(turtle))
    first, second, _ = one.table("Entity").vocabulary
    assert (first[-2:], second[-2:]) == ("-0", "-1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"item_type": "Filn"}, "no class 'Filn'; there are Film, Person; nearest: Film"),
        ({"item_id": "idmb"}, "no literal property 'idmb'.*nearest: imdb"),
        ({"interacted": "bougth"}, "no predicate between resources 'bougth'.*nearest: bought"),
        ({"relations": {"direct": "X"}}, "no predicate 'direct'.*nearest: directed"),
        ({"item_type": "Person", "user_type": "Person"}, "cannot share the label 'Person'"),
        ({"interacted": "directed"}, "directed leads from Film .* to Person"),
    ],
)
def test_what_is_not_in_the_data_is_refused_with_the_nearest(read, options, message):
    with pytest.raises(DataError, match=message):
        read(SHOP, **options)


def test_a_local_name_of_two_classes_must_be_given_whole(read):
    with pytest.raises(
        DataError, match=r"'Film' could be any class of http://example.org/Film, http://xmlns"
    ):
        read("x:a a x:Film . x:b a foaf:Film .", item_type="Film")


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        KnowledgeGraph.from_rdf(tmp_path / "none.ttl")
    with pytest.raises(DataError, match=r"unknown RDF suffix '\.csv'"):
        KnowledgeGraph.from_rdf(tmp_path / "none.csv")
    (tmp_path / "folder.ttl").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        KnowledgeGraph.from_rdf(tmp_path / "folder.ttl")
    (tmp_path / "latin.nt").write_bytes('<urn:a> <urn:b> "é" .'.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.nt line 1: not valid N-Triples: .*utf-8"):
        KnowledgeGraph.from_rdf(tmp_path / "latin.nt")


def test_films_file_has_names_for_everything_and_both_ids():
    kg = KnowledgeGraph.from_rdf(FILMS)
    assert (kg.n_items, kg.relations) == (480, ("DIRECTED_BY", "HAS_THEME", "STARRING"))
    assert all(table.names.null_count == 0 for table in kg.tables)
    assert kg.items.texts.null_count == 0
    assert sum(value is not None for value in kg.items.properties.column("freebaseId").to_pylist()) > 440
    alien = kg.slice("Movie").start + kg.items.vocabulary.get("183")
    directors = kg.relation("DIRECTED_BY")
    assert [kg.node_name(n) for n in directors.tail[directors.head == alien]] == ["Ridley Scott"]


def test_films_file_agrees_with_the_corrected_links():
    kg = KnowledgeGraph.from_rdf(FILMS)
    links = dict(
        line.split("\t") for line in FILMS.resolve().with_name("ml-100k.link").read_text().splitlines()
    )
    ours = zip(kg.items.vocabulary, kg.items.properties.column("freebaseId").to_pylist(), strict=True)
    assert all(links.get(item) == entity for item, entity in ours)


def test_films_file_round_trips_through_our_own_vocabulary():
    kg = KnowledgeGraph.from_rdf(FILMS)
    assert KnowledgeGraph.from_rdf(kg.to_rdf()).differences(kg) == []


def test_anonymous_nodes_of_different_files_stay_apart(read):
    one = read('x:a x:by [ rdfs:label "one" ] .')
    other = read('x:c x:by [ rdfs:label "other" ] .')
    both = one.merge(other)
    assert sorted(filter(None, both.table("Entity").names.to_pylist())) == ["one", "other"]
    assert both.merge(one).differences(both) == []


SPOKEN = """
x:a a x:Film ; rdfs:label "Alien"@en, "Alien, das unheimliche Wesen"@de ; x:alt "Le huitième passager"@fr, "Alien" ;
    x:released "1979-05-25"^^xsd:date ; x:seen "1979"^^xsd:gYear ; x:price 2.50 ; x:only "ja"@de ;
    x:size "7"^^xsd:short .
x:b a x:Film ; rdfs:label "Babe" ; x:alt "Schweinchen"@de, "Babe"@en, "Babe" ; x:released "1995"^^xsd:gYear ;
    x:seen "1996"^^xsd:gYear ; x:price 1e2 ; x:only "nein"@de, "doch"@de ; x:also "z"^^<urn:my>, "y" .
"""


def test_values_in_other_languages_and_datatypes_stand_beside(read):
    table = read(SPOKEN, item_type="Film").items
    assert table.names.to_pylist() == ["Alien", "Babe"]
    columns = {key: table.properties.column(key).to_pylist() for key in table.properties.column_names}
    assert columns["name@de"] == ["Alien, das unheimliche Wesen", None]
    assert columns["alt"] == [["Alien"], ["Babe", "Babe"]]
    assert (columns["alt@de"], columns["alt@fr"]) == ([None, "Schweinchen"], ["Le huitième passager", None])
    assert columns["released"] == ["1979-05-25", "1995"]
    assert columns["released^^xsd:date"] == ["1979-05-25", None]
    assert columns["only"] == [["ja"], ["doch", "nein"]]
    assert table.properties.schema.field("only").metadata == {b"language": b"de"}
    assert table.properties.schema.field("seen").metadata == {
        b"datatype": b"http://www.w3.org/2001/XMLSchema#gYear"
    }


@pytest.mark.parametrize("suffix", ["ttl", "nt", "nq", "trig", "jsonld", "rdf"])
def test_literals_keep_language_and_datatype_through_every_format(read, tmp_path, suffix):
    kg = read(SPOKEN)
    kg.save(tmp_path / "saved")
    saved = KnowledgeGraph.load(tmp_path / "saved").merge(kg)
    saved.write_rdf(tmp_path / f"b.{suffix}")
    again = KnowledgeGraph.from_rdf(tmp_path / f"b.{suffix}")
    assert [field.metadata for field in again.items.properties.schema] == [
        field.metadata for field in kg.items.properties.schema
    ]
    graph = again.to_rdf()
    literals = {str(value.n3()) for value in graph.objects() if isinstance(value, rdflib.Literal)}
    xsd = "^^<http://www.w3.org/2001/XMLSchema#"
    assert {
        '"Alien"@en',
        '"Babe"@en',
        '"ja"@de',
        '"doch"@de',
        '"Schweinchen"@de',
        '"z"^^<urn:my>',
    } <= literals
    assert {
        f'"1979-05-25"{xsd}date>',
        f'"1995"{xsd}gYear>',
        f'"1996"{xsd}gYear>',
        f'"7"{xsd}short>',
    } <= literals
    table, other = kg.table("Film"), again.table("Film")
    assert other.names.equals(table.names)
    assert other.properties.equals(table.properties)


@pytest.mark.parametrize("suffix", ["nq", "trig", "jsonld"])
def test_named_graphs_survive(read, tmp_path, suffix):
    kg = read(
        """x:a a x:Film ; rdfs:label "Alien" .
        x:one { x:a x:by x:s . x:b a x:Film ; x:tags ("z" "a") ; x:by x:s . }
        x:two { x:b x:note "n" . x:s rdfs:label "Scott" . }""",
        suffix=".trig",
    )
    one, two = "http://example.org/one", "http://example.org/two"
    assert kg.table("Film").properties.column("graphs").to_pylist() == [[one], [one, two]]
    assert kg.table("Entity").properties.column("graphs").to_pylist() == [[two]]
    path = tmp_path / f"again.{suffix}"
    kg.write_rdf(path)
    assert KnowledgeGraph.from_rdf(path).differences(kg) == []

    def named(quad):
        return not isinstance(quad.graph_name, pyoxigraph.DefaultGraph)

    names = {quad.graph_name.value for quad in pyoxigraph.parse(path=path) if named(quad)}
    assert names == {one, two}


TOLD = """
x:k a k:Nothing .
x:one { x:a a x:Film ; rdfs:label "Alien"@en ; x:by x:s ; x:year 1979 ; x:tags ("z" "a") . }
x:two { x:a x:by x:s, x:t ; rdfs:label "Das Ding"@de, "Alien"@en ; x:seen x:a . x:s rdfs:label "Scott" . }
{ x:a x:by x:u ; x:tags ("z" "a") . x:u rdfs:label "Unknown" . }
x:three { x:ann x:liked x:a . x:ann x:liked x:b . } x:four { x:ann x:liked x:a . x:b a x:Film . }
"""


def quads(path):
    """(graph, subject, predicate, object) of a file; what is said of a node by its last part, lists as one."""

    def short(term):
        if isinstance(term, pyoxigraph.BlankNode):
            return "()"
        return re.split("[#:/]", unquote(term.value))[-1]

    found = set()
    for quad in pyoxigraph.parse(path=path):
        if not isinstance(quad.subject, pyoxigraph.BlankNode):
            default = isinstance(quad.graph_name, pyoxigraph.DefaultGraph)
            triple = (short(part) for part in (quad.subject, quad.predicate, quad.object))
            found.add(("" if default else short(quad.graph_name), *triple))
    return found


@pytest.mark.parametrize("suffix", ["nq", "trig", "jsonld"])
def test_a_statement_stands_in_all_its_graphs_and_in_no_other(read, tmp_path, suffix):
    kg = read(TOLD, suffix=".trig", item_type="Film", interacted="liked")
    path = tmp_path / f"again.{suffix}"
    # Formats without named graphs, saved graphs and frames remember as well.
    kg.write_rdf(tmp_path / "between.ttl")
    again = KnowledgeGraph.from_rdf(tmp_path / "between.ttl")
    assert again.differences(kg) == []
    again.write_rdf(path)
    assert KnowledgeGraph.from_rdf(path).differences(kg) == []
    found = quads(path)

    def graphs(*triple):
        return {quad[0] for quad in found if quad[1:] == triple}

    assert graphs("a", "by", "s") == {"one", "two"}
    assert graphs("a", "by", "t") == {"two"}
    assert graphs("a", "by", "u") == {""}
    assert graphs("a", "label", "Alien") == {"one", "two"}
    assert graphs("a", "label", "Das Ding") == {"two"}
    assert graphs("a", "year", "1979") == {"one"}
    assert graphs("a", "tags", "()") == {"one", ""}
    assert graphs("a", "type", "Film") == graphs("a", "id", "a") == {"one"}
    assert graphs("ann", "interacted", "a") == {"three", "four"}
    assert graphs("ann", "interacted", "b") == {"three"}
    assert graphs("b", "type", "Film") == {"four"}
    assert graphs("u", "label", "Unknown") == {""}


def test_a_value_with_a_language_and_the_same_without_one_stay_two(read, tmp_path):
    kg = read('x:a x:q "v", "v"@de . x:b x:q "v"@de, "w" .')
    kg.write_rdf(tmp_path / "again.nt")
    assert KnowledgeGraph.from_rdf(tmp_path / "again.nt").differences(kg) == []
    lines = (tmp_path / "again.nt").read_text().splitlines()
    assert len([line for line in lines if "property:q>" in line]) == 4


def test_weights_stand_in_the_graph_of_their_statement(read, tmp_path):
    kg = read(
        """x:one { x:a x:by x:s, x:t . [] a rdf:Statement ; rdf:subject x:a ; rdf:predicate x:by ; rdf:object x:s ;
            k:weight 0.5 . } x:two { x:a x:by x:t . }""",
        suffix=".trig",
    )
    kg.write_rdf(tmp_path / "again.nq")
    assert KnowledgeGraph.from_rdf(tmp_path / "again.nq").differences(kg) == []
    lines = (tmp_path / "again.nq").read_text().splitlines()
    (weight,) = [line for line in lines if 'ns:weight> "0.5"' in line]
    assert weight.endswith("<http://example.org/one> .")


@given(data=st.data())
@settings(max_examples=40)
def test_quads_of_any_dataset_survive(tmp_path_factory, data):
    nodes, names = st.sampled_from("abc"), st.sampled_from(["", "g", "h"])
    value = st.sampled_from(['"v"', '"v"@de', '"v"@en', "7", "true", "1.5", "<urn:a>", "<urn:b>", "<urn:c>"])
    predicate = st.sampled_from(["urn:p", "urn:q", "http://www.w3.org/2000/01/rdf-schema#label"])
    rows = data.draw(st.lists(st.tuples(nodes, predicate, value, names), min_size=1, max_size=8, unique=True))
    lines = [f"<urn:{s}> <{p}> {o} {f'<urn:{g}>' if g else ''} ." for s, p, o, g in rows]
    lines = [
        line.replace(" 7 ", f' "7"^^<{XSD}integer> ').replace(" true ", f' "true"^^<{XSD}boolean> ')
        for line in lines
    ]
    lines = [line.replace(" 1.5 ", f' "1.5"^^<{XSD}double> ') for line in lines]
    folder = tmp_path_factory.mktemp("quads")
    (folder / "one.nq").write_text("\n".join(lines))
    kg = KnowledgeGraph.from_rdf(folder / "one.nq")
    kg.write_rdf(folder / "two.nq")
    assert KnowledgeGraph.from_rdf(folder / "two.nq").differences(kg) == []
    links = {(s, p[4:], o[5:-1], g) for s, p, o, g in rows if o[0] == "<" and p.startswith("urn")}
    written = {
        (s, p, o, g) for g, s, p, o in quads(folder / "two.nq") if p in "pq" and len(o) == 1 and o in "abc"
    }
    assert written == links


def test_graphs_without_named_graphs_keep_them_as_a_property(read, tmp_path):
    kg = read("x:one { x:b a x:Film . }", suffix=".trig")
    kg.write_rdf(tmp_path / "again.ttl")
    assert KnowledgeGraph.from_rdf(tmp_path / "again.ttl").differences(kg) == []


@given(data=st.data())
@settings(max_examples=40)
def test_files_of_any_graph_are_the_same_graph(tmp_path_factory, graphs, data):
    kg = data.draw(graphs)
    suffix = data.draw(st.sampled_from(["ttl", "nt", "nq", "trig", "jsonld"]))
    path = tmp_path_factory.mktemp("rdf") / f"graph.{suffix}"
    kg.write_rdf(path)
    assert KnowledgeGraph.from_rdf(path).differences(kg) == []


def test_files_that_cannot_be_written_are_refused_and_leave_nothing(small, tmp_path):
    with pytest.raises(DataError, match=r"unknown RDF suffix '\.csv'"):
        small.write_rdf(tmp_path / "graph.csv")
    with pytest.raises(DataError, match=r"cannot write .*No such file"):
        small.write_rdf(tmp_path / "none" / "graph.ttl")
    odd = KnowledgeGraph.from_frames(items=pd.DataFrame({"item_id": ["a"], "name": ["\x01"]}))
    with pytest.raises(DataError, match=r"RDF/XML has no character '\\x01'"):
        odd.write_rdf(tmp_path / "graph.rdf")
    assert list(tmp_path.iterdir()) == []
