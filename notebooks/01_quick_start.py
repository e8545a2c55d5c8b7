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
# # Quick start
#
# A knowledge graph in, a ranked list with reasons out, on real data: MovieLens-100k, the Freebase facts about its
# films, and a small RDF file with names for directors, actors and themes. The data (2 MB) are fetched on first use;
# the notebook takes a minute or two on two cores.

# %%
import tempfile

import matplotlib.pyplot as plt

import kgenre
from kgenre.graph.demo import demo_graph

kg = demo_graph()
kg

# %% [markdown]
# A `KnowledgeGraph` is a frozen snapshot: users, items, entities, who interacted with what, and facts. As frames:

# %%
frames = kg.to_frames()
films = frames["items"].set_index("item_id")
films[["name", "text"]].head(3)

# %%
frames["facts"]["relation"].value_counts().head(8)

# %% [markdown]
# ## Fit
#
# `"fast"` leaves out the slowest two signals, the graph network and SLIM; `HybridRecommender()` has them all. A tenth
# of each user's likes, the latest, is held out to choose settings and weights; then everything is fitted again on all.

# %%
rec = kgenre.HybridRecommender("fast").fit(kg, show=False)
rec

# %% [markdown]
# ## Is it worth it?
#
# Every fit also scores simple peers on the same held-out likes. The fusion's figure is cross-fitted: each user is
# judged by weights learned without them. A signal without weight is dropped, but for the three that always stand in
# the ledger.

# %%
honesty = rec.honesty.set_index("name")
honesty.round(4)

# %%
colours = honesty["kind"].map({"signal": "tab:blue", "peer": "tab:gray", "fusion": "tab:orange"})
figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
axis.barh(honesty.index, honesty["ndcg@20"], color=colours)
axis.invert_yaxis()
axis.set_xlabel("ndcg@20 on held-out likes: signals blue, peers gray, the fusion orange")
plt.show()

# %% [markdown]
# On these data taste is mostly in who likes what. The closed form, which has facts and text as its prior, carries the
# list almost alone and is ahead of every peer; the fusion adds little to it, and the table says so.

# %%
peers = honesty.loc[honesty["kind"] == "peer", "ndcg@20"]
alone = honesty.loc["closed_form", "ndcg@20"]
print(f"fusion {honesty.loc['fusion', 'ndcg@20']:.4f}, closed form alone {alone:.4f}", end=", ")
print(f"best peer {peers.max():.4f} ({peers.idxmax()})")
assert peers.max() < alone

# %% [markdown]
# ## A list, and why
#
# A score is a sum over signals (the ledger), and as well a sum over reasons: what was liked, and by which facts it is
# connected.

# %%
rec.recommend("196", k=5).round(2)

# %%
best = rec.recommend("196", k=1)["item_id"].iloc[0]
rec.explain("196", best)

# %% [markdown]
# ## Nobody we know
#
# A history is enough; nothing is stored and nothing is trained. Change the titles.

# %%
titles = ["Alien", "Blade Runner"]
history = films.index[films["name"].isin(titles)].tolist()
mine = rec.recommend(history=history, k=5)
mine.round(2)

# %%
for item in mine["item_id"].head(3):
    print(rec.explain(item=item, history=history).text)

# %% [markdown]
# The reasons of the kind `path` run through the graph. As data: what was liked, a relation, an entity, what is
# recommended.

# %%
for item in mine["item_id"]:
    for reason in rec.explain(item=item, history=history).reasons:
        if reason.kind == "path":
            path = reason.evidence
            print(
                f"{reason.contribution:+6.2f}  {path.start} - {path.relation} - {path.entity or 'direct'} - {path.end}"
            )
            print(f"        {films['name'][path.end]}: {path.text}")

# %% [markdown]
# ## Ask the graph
#
# `connect(folder)` is an embedded store that speaks Cypher; with an address it is your own Neo4j. Who of the directors
# pleases most? Likes for each film, for those with at least four films:

# %%
question = """
MATCH (u:User)-[:INTERACTED]->(i:Item)-[:DIRECTED_BY]->(d)
WITH d, count(DISTINCT i) AS films, count(u) AS likes WHERE films >= $films
RETURN d.name AS director, films, likes / films AS likes_per_film ORDER BY likes_per_film DESC, director LIMIT 5
"""
with tempfile.TemporaryDirectory() as folder, kgenre.connect(folder) as store:
    store.write(kg)
    answer = store.cypher(question, films=4)
answer

# %% [markdown]
# `rec.save("model")` and `kgenre.load("model")` keep a recommender, `rec.report(["196"])` is a page to show around, and
# `docs/command_line.md` does all of this from a shell.
