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
# # Shop: a purchase two hops away, and teas that nobody has bought
#
# In a shop's graph a customer is not linked to what they bought: between them stands an order. And every week
# there is something new that nobody has bought yet, which a recommender that knows only purchases can never show.
# Here is a shop of 42 teas that exist (`examples/teas.csv`), with 300 customers who do not
# (`examples/simulate.py`: everybody has a taste of two properties).

# %%
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kgenre
from kgenre.hybrid import HybridConfig

examples = next(p / "examples" for p in (Path.cwd(), *Path.cwd().parents) if (p / "examples").is_dir())
sys.path.insert(0, str(examples))
import simulate

teas = pd.read_csv(examples / "teas.csv")
teas["region"] = teas["region"].fillna(teas["country"])
tags = [[row.kind, *row.taste.split("|"), row.country] for row in teas.itertuples()]
bought = simulate.likes(teas["id"], tags, people=300, each=9, seed=1)

# %% [markdown]
# Eight teas, drawn by lot, arrive only now. Whoever would have bought them has not yet: these purchases are put
# aside, to look at later.

# %%
new = sorted(np.random.default_rng(7).choice(teas["id"], 8, replace=False))
later, sales = bought[bought["item_id"].isin(new)], bought[~bought["item_id"].isin(new)]
print(", ".join(teas.set_index("id").loc[new, "name"]))
print(f"{len(sales)} purchases in the books, {len(later)} to come")

# %% [markdown]
# ## The graph, as the shop has it
#
# `(:Customer)-[:PLACED]->(:Order)-[:CONTAINS]->(:Tea)`, and what is known of the teas.

# %%
folder = tempfile.TemporaryDirectory()
store = kgenre.connect(folder.name)
store.cypher(
    """
UNWIND $rows AS row
CREATE (t:Tea {sku: row.id, name: row.name, description: row.about})
MERGE (k:Kind {name: row.kind}) CREATE (t)-[:OF_KIND]->(k)
MERGE (r:Region {name: row.region}) MERGE (c:Country {name: row.country})
MERGE (r)-[:IN]->(c) CREATE (t)-[:GROWN_IN]->(r)
FOREACH (taste IN row.tastes | MERGE (n:Note {name: taste}) CREATE (t)-[:TASTES]->(n))
""",
    rows=teas.assign(tastes=teas["taste"].str.split("|")).to_dict("records"),
)
store.cypher("UNWIND $ids AS id CREATE (:Customer {nr: id})", ids=bought["user_id"].unique().tolist())
store.cypher(
    """
UNWIND $rows AS row MATCH (c:Customer {nr: row.user_id}), (t:Tea {sku: row.item_id})
CREATE (c)-[:PLACED]->(:Order {at: datetime({epochSeconds: row.timestamp})})-[:CONTAINS {packets: 1}]->(t)
""",
    rows=sales[["user_id", "item_id", "timestamp"]].to_dict("records"),
)

# %% [markdown]
# The purchase is two relationships long, so the schema says what an interaction is by a query.

# %%
store.schema = kgenre.GraphSchema.from_yaml(
    """
user_label: Customer
item_label: Tea
labels:
  Customer: {id: nr, name: nr, text: null}
  Tea: {id: sku, text: description}
  Kind: {id: name, text: null}
  Region: {id: name, text: null}
  Country: {id: name, text: null}
  Note: {id: name, text: null}
entity_labels: [Kind, Region, Country, Note]
fact_types: [OF_KIND, GROWN_IN, TASTES, IN]
interactions:
  query: |
    MATCH (c:Customer)-[:PLACED]->(o:Order)-[:CONTAINS]->(t:Tea)
    RETURN c.nr AS user_id, t.sku AS item_id, o.at AS timestamp
"""
)
kg = store.snapshot()
print(kg)
store.explore(
    "MATCH p = (:Customer {nr: 'p000'})-[:PLACED]->(:Order)-[:CONTAINS]->(:Tea)-[:TASTES]->() RETURN p"
)

# %% [markdown]
# What the model gets to see has no orders any more:

# %%
kg.schema_graph()

# %% [markdown]
# ## What the new teas get
#
# The signal `cold` learns on items that it holds out with all their sales, what a tea's facts and words say of
# who buys it. The same model twice: once with the graph as it is, once with purchases alone (no facts, no
# descriptions). The new teas are ranked among themselves for everybody who is going to buy one of them.

# %%
config = HybridConfig(signals=("multihop", "text", "popularity", "closed_form", "cold"))
shop = kgenre.HybridRecommender(config).fit(kg, show=False)
frames = kg.to_frames()
bare = kgenre.KnowledgeGraph.from_frames(
    frames["interactions"],
    items=frames["items"][["item_id"]].assign(text=None),
    item_label="Tea",
    user_label="Customer",
)
blind = kgenre.HybridRecommender(config).fit(bare, show=False)


def first_of_new(rec):
    """How often the first of the new teas is one that the customer is going to buy, ties drawn by lot."""
    rng, hits = np.random.default_rng(0), []
    for customer, wanted in later.groupby("user_id")["item_id"]:
        score = rec.score(customer, items=new).fillna(-np.inf).to_numpy()
        first = rng.choice(np.flatnonzero(score == score.max()))
        hits.append(new[first] in set(wanted))
    return np.mean(hits)


wanted = later.groupby("user_id").size()
rates = pd.Series(
    {
        "purchases, facts and texts": first_of_new(shop),
        "purchases alone": first_of_new(blind),
        "drawn by lot": (wanted / len(new)).mean(),
    }
)
rates.round(3)

# %%
figure, axis = plt.subplots(figsize=(7, 2), layout="constrained")
axis.barh(rates.index, rates, color=["tab:orange", "tab:gray", "tab:gray"])
axis.invert_yaxis()
axis.set_xlabel("the new tea on top is one that the customer is going to buy")
plt.show()
assert rates.iloc[0] > 1.5 * rates.iloc[2] > 0.5 * rates.iloc[1]

# %% [markdown]
# Without facts and texts a new tea is a number like any other: the model is hardly better than lots. With them it
# finds what it has never seen sold.

# %% [markdown]
# ## And why
#
# A new tea has no history; its reasons are what it is.

# %%
customer = wanted.index[0]
print(customer, "tastes for", bought.set_index("user_id").loc[customer, "taste"].iloc[0])
best = shop.recommend(customer, candidates=new, k=3)
for item in best["item_id"]:
    print(shop.explain(customer, item).text)

# %% [markdown]
# ## The first sale
#
# One packet sold counts at once: the tea leaves the customer's list, and what is like it moves up. Nothing is
# trained again.

# %%
item = best["item_id"].iloc[0]
before = shop.recommend(customer, k=5)["name"].tolist()
shop.add_interactions(pd.DataFrame({"user_id": [customer], "item_id": [item]}))
after = shop.recommend(customer, k=5)["name"].tolist()
assert shop.graph.items.name(shop.graph.items.vocabulary.get(item)) not in after
pd.DataFrame({"before": before, "after": after}, index=range(1, 6))

# %%
store.close()
folder.cleanup()
