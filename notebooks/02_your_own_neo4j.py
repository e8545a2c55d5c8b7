# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own Neo4j
#
# A graph as somebody else keeps it: listeners, records, artists, with labels and ids of their own. Nothing is
# renamed and nothing is copied; a schema says how it reads, and what the recommender finds goes back into it,
# where Cypher finds it.
#
# Set `NEO4J_URI` and `NEO4J_PASSWORD` to use a Neo4j (an empty database: the first cell fills it). Without them
# the notebook runs on the embedded store, which speaks the same Cypher.

# %%
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import kgenre

examples = next(p / "examples" for p in (Path.cwd(), *Path.cwd().parents) if (p / "examples").is_dir())
sys.path.insert(0, str(examples))
import simulate

folder = tempfile.TemporaryDirectory()
if address := os.environ.get("NEO4J_URI"):
    store = kgenre.connect(address, auth=("neo4j", os.environ["NEO4J_PASSWORD"]))
    assert store.cypher("MATCH (n) RETURN count(n) AS n")["n"][0] == 0, "give the notebook an empty database"
else:
    store = kgenre.connect(folder.name)
store

# %% [markdown]
# ## The graph of a record shop
#
# There are 57 records, which exist, with artist, genre and themes (`examples/music.csv`). The 300 listeners do
# not: each is simulated with a taste of two genres or themes, by the rule in `examples/simulate.py`.

# %%
records = pd.read_csv(examples / "music.csv")
tags = [[row.genre, *row.themes.split("|")] for row in records.itertuples()]
played = simulate.likes(records["id"], tags, people=300, each=8, seed=0)

store.cypher(
    """
UNWIND $rows AS row
CREATE (a:Album {slug: row.id, title: row.title, released: row.year, notes: row.about})
MERGE (w:Artist {name: row.artist}) MERGE (w)-[:RECORDED]->(a)
MERGE (g:Genre {name: row.genre}) MERGE (a)-[:OF_GENRE]->(g)
""",
    rows=records.to_dict("records"),
)
store.cypher(
    """
UNWIND $rows AS row
MATCH (a:Album {slug: row.id}) MERGE (t:Theme {name: row.theme}) CREATE (a)-[:SINGS_OF]->(t)
""",
    rows=records.assign(theme=records["themes"].str.split("|"))
    .explode("theme")[["id", "theme"]]
    .to_dict("records"),
)
store.cypher("UNWIND $ids AS id CREATE (:Listener {login: id})", ids=played["user_id"].unique().tolist())
store.cypher(
    """
UNWIND $rows AS row MATCH (l:Listener {login: row.user_id}), (a:Album {slug: row.item_id})
CREATE (l)-[:PLAYED {at: row.timestamp}]->(a)
""",
    rows=played[["user_id", "item_id", "timestamp"]].to_dict("records"),
)
store.explore(
    "MATCH p = (:Artist {name: $name})-[:RECORDED]->()-[:OF_GENRE|SINGS_OF]->() RETURN p", name="Kraftwerk"
)

# %% [markdown]
# ## How it reads
#
# The schema is proposed from labels, properties and counts. Its comments say why; where it is wrong, edit the
# YAML and read it with
# `GraphSchema.from_yaml`.

# %%
schema = kgenre.GraphSchema.infer(store)
print(schema.to_yaml())
store.schema = schema

# %%
kg = store.snapshot()
kg.describe()

# %% [markdown]
# ## Fit, and is it worth it?

# %%
rec = kgenre.HybridRecommender("fast").fit(store, show=False)
honesty = rec.honesty.set_index("name")
colours = honesty["kind"].map({"signal": "tab:blue", "peer": "tab:gray", "fusion": "tab:orange"})
figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
axis.barh(honesty.index, honesty["ndcg@20"], color=colours)
axis.invert_yaxis()
axis.set_xlabel("ndcg@20 on held-out plays: signals blue, peers gray, the fusion orange")
plt.show()

# %% [markdown]
# The walk over genres, themes and other listeners is well ahead of popularity. 300 listeners are too few to learn
# weights from: the fusion, whose figure is cross-fitted, does not reach its best signal, and the table says so.

# %%
walks, popularity = honesty.loc["multihop", "ndcg@20"], honesty.loc["popularity", "ndcg@20"]
print(
    f"walks alone {walks:.3f}, popularity {popularity:.3f}, all together {honesty.loc['fusion', 'ndcg@20']:.3f}"
)
assert walks > popularity

# %% [markdown]
# ## A listener
#
# We know this one's taste, because we made it. The model was not told.

# %%
listener = "p007"
print("taste:", played.loc[played["user_id"] == listener, "taste"].iloc[0])
best = rec.recommend(listener, k=5)
best.round(2)

# %%
rec.explain(listener, best["item_id"][0])

# %% [markdown]
# ## Back into the graph
#
# Everybody's list with its reasons as `RECOMMENDED` relationships, and the records' vectors with an index. Both
# are a recommender's opinion, not facts: the next snapshot leaves them out.

# %%
rec.write_recommendations(store, k=5)
rec.write_vectors(store)
store.cypher(
    """
MATCH (l:Listener {login: $login})-[r:RECOMMENDED]->(a:Album)<-[:RECORDED]-(w)
RETURN r.rank AS rank, a.title AS album, w.name AS artist, r.reason AS reason ORDER BY rank
""",
    login=listener,
)

# %% [markdown]
# From here on it is Cypher. Which artists would please whom who has never played them?

# %%
store.cypher(
    """
MATCH (l:Listener)-[r:RECOMMENDED]->(:Album)<-[:RECORDED]-(w:Artist)
WHERE NOT (l)-[:PLAYED]->(:Album)<-[:RECORDED]-(w)
RETURN w.name AS artist, count(DISTINCT l) AS new_listeners ORDER BY new_listeners DESC, artist LIMIT 5
"""
)

# %% [markdown]
# And the neighbours of a record in the vector index, without the recommender:

# %%
vector = store.cypher("MATCH (a:Album {slug: 'man-machine'}) RETURN a.embedding AS v")["v"][0]
near = store.nearest("Album", vector, k=4)
near[["name", "score"]].round(3)

# %%
store.close()
folder.cleanup()
