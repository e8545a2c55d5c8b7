import importlib.util
import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kgenre.graph import GraphBuilder, KnowledgeGraph, connect
from kgenre.graph.errors import DataError
from kgenre.graph.relation_names import relation_of

READ = {
    "string": str,
    "long": int,
    "double": lambda text: float(text.replace("Infinity", "inf")),
    "boolean": lambda text: {"true": True, "false": False}[text],
}
DTYPES = {"string": pl.String, "long": pl.Int64, "double": pl.Float64, "boolean": pl.Boolean}


def rows(folder: Path, stem: str) -> pl.DataFrame:
    """The rows of a file as strings, null where nothing stands, with the header file's fields as names."""
    header = pl.read_csv(folder / f"{stem}-header.csv", has_header=False, infer_schema=False).row(0)
    body = folder / f"{stem}.csv"
    if not body.stat().st_size:
        return pl.DataFrame(schema=dict.fromkeys(header, pl.String))
    return pl.read_csv(body, has_header=False, new_columns=list(header), infer_schema=False)


def import_csv(folder: Path) -> KnowledgeGraph:
    """What neo4j-admin makes of the files that the command names, by its documented format."""
    command = (folder / "import.sh").read_text(encoding="utf-8")
    mark = re.search(r"--array-delimiter='?(U\+[0-9A-F]{4}|.)", command)[1]
    mark = chr(int(mark[2:], 16)) if mark.startswith("U+") else mark
    builder, labels = GraphBuilder(), {}
    for stem in re.findall(r"--nodes=(nodes-\d+)-header\.csv,\1\.csv", command):
        frame = rows(folder, stem)
        columns = {}
        for field in frame.columns[2:]:
            name, _, kind = field.rpartition(":")
            convert, dtype = READ[kind.removesuffix("[]")], DTYPES[kind.removesuffix("[]")]
            if kind.endswith("[]"):
                values = [v if v is None else [convert(part) for part in v.split(mark)] for v in frame[field]]
                columns[name] = pl.Series(values, dtype=pl.List(dtype))
            else:
                columns[name] = pl.Series([v if v is None else convert(v) for v in frame[field]], dtype=dtype)
        key = re.fullmatch(r"id:ID\((.+)\)", frame.columns[0])[1]
        if len(frame):
            labels[key] = frame[":LABEL"][0]
            builder.add_nodes(labels[key], frame[:, 0], columns.pop("name"), columns.pop("text"), columns)
    for stem in re.findall(r"--relationships=(relationships-\d+)-header\.csv,\1\.csv", command):
        frame = rows(folder, stem)
        head, tail = (
            labels[re.fullmatch(r":(?:START|END)_ID\((.+)\)", field)[1]] for field in frame.columns[:2]
        )
        kind, start, end = frame[":TYPE"][0], frame[:, 0], frame[:, 1]
        notes = []
        for name in ("weight:double", "timestamp:double"):
            values = frame[name].to_list() if name in frame.columns else [None] * len(frame)
            notes.append([v if v is None else READ["double"](v) for v in values])
        if kind == "INTERACTED":
            builder.add_interactions(start, end, *notes)
        else:
            builder.add_facts(relation_of(kind), start, end, head, tail, *notes)
    return builder.build()


def has_empty_lists(kg: KnowledgeGraph) -> bool:
    columns = [column.to_pylist() for table in kg.tables for column in table.properties.columns]
    return any(isinstance(v, list) and (not v or "" in v) for column in columns for v in column)


@given(data=st.data())
@settings(max_examples=60)
def test_files_of_any_graph_are_the_same_graph(tmp_path_factory, graphs, data):
    kg = data.draw(graphs)
    assume(not has_empty_lists(kg))
    folder = tmp_path_factory.mktemp("neo4j") / "csv"
    kg.to_neo4j_csv(folder)
    assert import_csv(folder).differences(kg) == []


def test_header_files_types_and_quoting_are_those_of_the_format(small, tmp_path):
    small.to_neo4j_csv(tmp_path)
    assert (
        tmp_path / "nodes-2-header.csv"
    ).read_text() == "id:ID(nodes-2),:LABEL,name:string,text:string,born:long\n"
    assert (tmp_path / "nodes-2.csv").read_text() == (
        '"p1","Person","Ridley Scott",,1937\n"p2","Person","Chris Noonan",,\n'
    )
    assert (tmp_path / "relationships-0-header.csv").read_text() == (
        ":START_ID(nodes-0),:END_ID(nodes-1),:TYPE,weight:double,timestamp:double\n"
    )
    assert (tmp_path / "relationships-0.csv").read_text().splitlines()[
        0
    ] == '"ann","i1","INTERACTED","1.0","10.0"'
    command = (tmp_path / "import.sh").read_text()
    assert 'neo4j-admin database import full "${1:-neo4j}" \\\n  --id-type=string' in command
    subprocess.run(["sh", "-n", tmp_path / "import.sh"], check=True)


def test_notes_on_properties_are_nodes_as_in_a_store(tmp_path):
    builder = GraphBuilder().add_nodes(
        "Item", ["1"], None, None, {"motto": ["carpe diem"]}, {"motto": {"language": "la"}}
    )
    builder.build().to_neo4j_csv(tmp_path)
    assert (tmp_path / "nodes-2-header.csv").read_text() == (
        ":ID(notes),:LABEL,label:string,property:string,language:string,datatype:string,main:string\n"
    )
    assert (tmp_path / "nodes-2.csv").read_text() == '"0","_KgenreNote","Item","motto","la",,\n'


def test_a_list_is_parted_by_what_none_of_its_members_holds(tmp_path):
    builder = GraphBuilder().add_nodes("Item", ["1"], properties={"tags": [["a;b", "c|d\n"]]})
    builder.build().to_neo4j_csv(tmp_path)
    assert "--array-delimiter=§" in (tmp_path / "import.sh").read_text().replace("'", "")
    assert import_csv(tmp_path).items.properties.to_pylist() == [{"tags": ["a;b", "c|d\n"]}]


def test_what_is_lost_is_counted(tmp_path, caplog):
    lists = pl.Series([[], ["", "a"]], dtype=pl.List(pl.String))
    GraphBuilder().add_nodes("Item", ["1", "2"], properties={"tags": lists}).build().to_neo4j_csv(tmp_path)
    assert "2 empty lists or members of Item.tags" in caplog.text


def test_a_folder_with_something_in_it_is_not_touched(small, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="is not empty"):
        small.to_neo4j_csv(tmp_path)
    with pytest.raises(DataError, match="cannot write"):
        small.to_neo4j_csv(tmp_path / "letter.txt" / "a")


def hostile() -> KnowledgeGraph:
    """Everything that a CSV file or an importer may stumble over."""
    names = ["Alien", "  spaces ", 'quo"te', "line\nand\r\nline", None, "back\\n", "com,ma", "é🎬"]
    ids = ["1", "2 ", 'a"b', "l\nf", "é🎬", "\\", "'", ","]
    properties = {
        "whole": [1979, None, 3, -(2**63) + 1, 5, 6, 7, 8],
        "real": [8.5, float("inf"), float("-inf"), 1e300, 5e-324, None, 0.1, -0.0],
        "yes": [True, False, None, True, True, True, True, True],
        "tags": [["a;b", "c"], ["x"], None, ["ü", "\n"], ['q"q'], ["|"], ["§"], ["z"]],
        "points": [[1.5, float("inf")], *[None] * 7],
        "odd:name": ["v"] * 8,
        'back`tick "quote"': ["w"] * 8,
    }
    builder = GraphBuilder().add_nodes("Item", ids, names, None, properties)
    builder.add_interactions(["u", "u", "v"], ["1", "2 ", 'a"b'], [1, -1, 2.5], [10, None, 3e9])
    builder.add_facts("DIRECTED BY", ["1", "2 "], ["p", "p"], "Item", "Per son", [None, 0.5])
    builder.add_facts("INTERACTED", ["1"], ["1"], "Item", "Item")
    return builder.add_facts("R", ["1"], ["1"], "Item", "Odd`;Label").build()


def test_neo4j_imports_the_files_and_holds_the_graph(tmp_path, monkeypatch):
    # A database of its own, since the importer wants one that is not there yet.
    elsewhere = os.environ.get("NEO4J_URI")
    monkeypatch.delenv("NEO4J_URI", raising=False)
    spec = importlib.util.spec_from_file_location(
        "neo4j_server", Path(__file__).parents[1] / "neo4j" / "server.py"
    )
    server = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(server)
    try:
        java, jars = server._java(), server._jars()
    except server.Unavailable as reason:
        if os.environ.get("KGENRE_REQUIRE_NEO4J") == "1" and not elsewhere:
            pytest.fail(f"KGENRE_REQUIRE_NEO4J=1, but {reason}")
        pytest.skip(str(reason))
    kg = hostile()
    kg.to_neo4j_csv(tmp_path / "csv")
    home = tmp_path / "home"
    (home / "conf").mkdir(parents=True)
    (home / "conf" / "neo4j.conf").touch()
    tool = tmp_path / "neo4j-admin"
    options = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    tool.write_text(f'#!/bin/sh\nexec {java} {options} -cp "{jars}/*" org.neo4j.cli.AdminTool "$@"\n')
    tool.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "NEO4J_HOME": str(home),
        "NEO4J_CONF": str(home / "conf"),
    }
    done = subprocess.run(
        ["sh", tmp_path / "csv" / "import.sh"], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with server.serve(home) as (uri, auth), connect(uri, auth=auth) as store:
        assert store.snapshot().differences(kg) == []
