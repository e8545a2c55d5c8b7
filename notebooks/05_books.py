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
# # Books: does the graph pay?
#
# A knowledge graph is work. Before it is built, and after, one wants to know whether it is worth it: not whether
# a model that has it does well, but whether it does better than the same model without it, and better than with
# links drawn by lot.
#
# `kg_worth` measures that, and here it can be checked: the 80 books exist (`examples/books.csv`), the readers do not,
# so we know what they choose by. The rule is in `examples/simulate.py`.

# %%
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import kgenre
from kgenre.hybrid.worth import kg_worth

examples = next(p / "examples" for p in (Path.cwd(), *Path.cwd().parents) if (p / "examples").is_dir())
sys.path.insert(0, str(examples))
import simulate

books = pd.read_csv(examples / "books.csv", dtype=str)
books["themes"] = books["themes"].str.split("|")
books["decade"] = books["year"].str[:3] + "0s"
books[["title", "author", "themes", "decade"]].sample(3, random_state=0)


# %%
def graph(chosen_by, people, seed=0):
    """The books, and so many readers with six likes each, who choose by the tags given."""
    likes = simulate.likes(books["id"], chosen_by, people=people, each=6, seed=seed, strength=4)
    items = pd.DataFrame({"item_id": books["id"], "name": books["title"], "text": books["about"]})
    items = items.assign(THEME=books["themes"], AUTHOR=books["author"], DECADE=books["decade"])
    return kgenre.KnowledgeGraph.from_frames(likes, items=items, fact_columns=["THEME", "AUTHOR", "DECADE"])


# %% [markdown]
# ## Readers who choose by theme
#
# There are 500 of them, with six likes each. The graph has three relations, of which one is what they choose by;
# the model does not know which.

# %%
by_theme = kg_worth(graph(books["themes"], 500))
print(by_theme.verdict)
by_theme

# %% [markdown]
# It pays, and the report finds the relation. Authors and decades are facts as true as themes; nobody here chooses
# by them, and they add nothing that can be told from chance.

# %%
assert by_theme.relations == ["THEME"]

# %% [markdown]
# ## Readers who choose by something that the graph does not know
#
# The same books and as many likes, but everybody's taste is now in one of eight moods that were drawn by lot.
# Themes, authors and decades say nothing of it.

# %%
moods = [[f"mood {mood}"] for mood in np.random.default_rng(5).integers(0, 8, len(books))]
by_mood = kg_worth(graph(moods, 500))
print(by_mood.verdict)
by_mood.table[by_mood.table["group"] == "all"].round(3)

# %% [markdown]
# The graph is as true as before, and worth nothing to these readers. No model could tell that from the graph:
# only likes that were held out can.

# %%
assert by_mood.answer != "pays"

# %% [markdown]
# ## The more readers, the less the graph
#
# Back to the readers who choose by theme. What themes say of two books, many readers say as well: those who like
# one like the other.

# %%
gain = {}
for people in (60, 150, 500, 1500):
    table = kg_worth(graph(books["themes"], people, seed=1)).table
    row = table[(table["variant"] == "no facts") & (table["group"] == "all")].iloc[0]
    gain[people] = row[["difference", "low", "high"]].astype(float)
gain = pd.DataFrame(gain).T
gain.round(4)

# %%
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.plot(gain.index, gain["difference"], "o-", color="tab:orange")
axis.fill_between(gain.index, gain["low"], gain["high"], color="tab:orange", alpha=0.25)
axis.axhline(0, color="tab:gray", lw=1)
axis.set_xscale("log")
axis.set_xticks(gain.index, gain.index)
axis.set_xlabel("readers with six likes each")
axis.set_ylabel("ndcg that facts add, 95 %")
plt.show()

# %% [markdown]
# For a young shop the graph is most of what there is; for one with many customers it is a little on top, and what
# it is for new items stays. That is true of these readers; of yours, ask.
#
# On a command line the same is `kgenre worth SOURCE`. What is compared, and why it is fair, is in
# `docs/worth.md`.
