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
# # News: something new every hour
#
# News is read for a day. When an article is a week old it has all the clicks that a recommender learns from, and
# nobody wants it any more; when it is new it has none. So an article has to be recommended by what it is about,
# the moment it is there, and a reader's click has to count with the next article.
#
# The days are those of July 1969: 34 reports of things that happened (`examples/news.csv`, each with its source;
# the sentences are ours). The readers do not exist: each of the 200 is drawn to two subjects or sections, clicks
# what has one of them with probability .6, and anything else with probability .05.

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kgenre
from kgenre.hybrid import FusionConfig, HybridConfig

examples = next(p / "examples" for p in (Path.cwd(), *Path.cwd().parents) if (p / "examples").is_dir())
news = pd.read_csv(examples / "news.csv", parse_dates=["published"])
news["subjects"] = news["subjects"].str.split("|")
news["tags"] = [[row.section, *row.subjects] for row in news.itertuples()]
news["second"] = news["published"].astype("datetime64[s]").astype(np.int64)

rng = np.random.default_rng(0)
# Sections twice, since more is drawn to a whole section than to one name.
tags = sorted({tag for of in news["tags"] for tag in of}) + 6 * sorted(news["section"].unique())
taste = {f"r{i:03}": {str(tag) for tag in rng.choice(tags, 2)} for i in range(200)}
drawn = {reader: rng.random(len(news)) for reader in taste}


def clicks(row):
    """Who clicks an article."""
    return [r for r, of in taste.items() if drawn[r][row.Index] < (0.6 if of & set(row.tags) else 0.05)]


news[["published", "section", "headline"]].iloc[[0, 14, 16]]

# %% [markdown]
# ## Until Friday evening
#
# The first eleven reports and who clicked them are what the model starts from. Popularity gets no weight: a count
# of clicks only keeps down what is new.

# %%
known, stream = news.iloc[:11], news.iloc[11:]


def items(rows):
    """Articles as items: name, text, and facts."""
    frame = pd.DataFrame({"item_id": rows["id"], "name": rows["headline"], "text": rows["text"]})
    return frame.assign(SECTION=rows["section"], SUBJECT=rows["subjects"], PLACE=rows["place"])


def read(row):
    return pd.DataFrame({"user_id": clicks(row), "item_id": row.id, "timestamp": row.second + 600})


old = pd.concat([read(row) for row in known.itertuples()])
kg = kgenre.KnowledgeGraph.from_frames(old, items=items(known), fact_columns=["SECTION", "SUBJECT", "PLACE"])
config = HybridConfig(
    signals=("multihop", "text", "popularity"),
    fusion=FusionConfig(method="fixed", weights={"multihop": 0.6, "text": 0.4, "popularity": 0.0}),
    tune=False,
    baselines=False,
)
rec = kgenre.HybridRecommender(config).fit(kg, show=False)
kg

# %% [markdown]
# ## Every hour
#
# An article comes in; it is an item from then on. Before anybody has clicked it, we ask for every reader who has
# a history where it stands among all the articles of the last two days that they have not read, and compare those
# who are going to click it with those who are not. Then the clicks come in.

# %%
rows, seconds = [], {"an article": [], "its clicks": [], "a list": []}
for row in stream.itertuples():
    begun = time.perf_counter()
    rec.add_items(items(stream.loc[[row.Index]]))
    seconds["an article"].append(time.perf_counter() - begun)

    fresh = news.iloc[: row.Index + 1]
    fresh = fresh.loc[fresh["second"] > row.second - 48 * 3600, "id"].tolist()
    wants, readers = set(clicks(row)), set(rec.graph.users.vocabulary)
    for reader in sorted(readers):
        begun = time.perf_counter()
        score = rec.score(reader, items=fresh)
        seconds["a list"].append(time.perf_counter() - begun)
        below = (score.drop(row.id) < score[row.id]).mean()
        rows.append((row.published, row.section, reader in wants, below))

    begun = time.perf_counter()
    if wants:
        rec.add_interactions(read(row))
    seconds["its clicks"].append(time.perf_counter() - begun)

standing = pd.DataFrame(rows, columns=["published", "section", "wants", "below"])
pd.Series({name: np.median(times) * 1000 for name, times in seconds.items()}, name="milliseconds").round(1)

# %% [markdown]
# ## Did it find its readers?
#
# The share of other fresh articles that the new one is ahead of, when nobody has clicked it. A list by clicks
# would have it last for everybody, a list by time first for everybody: neither tells one reader from another.

# %%
mean = standing.groupby(["published", "wants"])["below"].mean().unstack()
figure, axis = plt.subplots(figsize=(8, 3.5), layout="constrained")
axis.plot(mean.index, mean[True], "o-", color="tab:orange", label="readers who are going to click it")
axis.plot(mean.index, mean[False], "o-", color="tab:gray", label="readers who are not")
axis.set_ylabel("ahead of")
axis.set_ylim(0, 1)
axis.legend()
axis.tick_params(axis="x", rotation=30)
plt.show()
others, ahead = standing.groupby("wants")["below"].mean().sort_index()
print(f"ahead of {ahead:.0%} for those who are going to click it, of {others:.0%} for the others")
assert ahead > others + 0.1

# %% [markdown]
# By section it is what one would expect: what has been written about before is understood at once, and a subject
# that appears for the first time has only its section and its words.

# %%
standing.groupby(["section", "wants"])["below"].mean().unstack().round(2)

# %% [markdown]
# ## One reader's Friday

# %%
reader = next(r for r, of in taste.items() if "space" in of and r in rec.graph.users.vocabulary)
print(reader, "is drawn to", " and ".join(sorted(taste[reader])))
fresh = news.loc[news["second"] > news["second"].max() - 72 * 3600, "id"]
unread = [i for i in fresh if i not in set(old["item_id"]) and rec.graph.items.vocabulary.get(i) is not None]
best = rec.recommend(reader, k=3, candidates=unread)
for item in best["item_id"]:
    print(rec.explain(reader, item).text)

# %% [markdown]
# Weights and learned tables wait for the next fit, at night, say. The hours in between are covered by what an
# article is about and by what a reader has just read.
