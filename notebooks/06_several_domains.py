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
# # Several domains in one graph: taste in films recommends books and records
#
# A film, a book and a record can share what they are about, an author, a story. Put all three into one graph, and
# what somebody likes in one domain says something about the others, even where nobody has ever liked anything
# there.
#
# 479 films (`examples/films.ttl`), 80 books and 57 records exist; the themes they share are from one list. The 400
# people do not exist: each has a taste of two themes, across all three domains, by the rule in
# `examples/simulate.py`. That people's tastes are like that is an assumption; what follows from it is not.

# %%
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import kgenre
from kgenre.hybrid import HybridConfig

examples = next(p / "examples" for p in (Path.cwd(), *Path.cwd().parents) if (p / "examples").is_dir())
sys.path.insert(0, str(examples))
import simulate

films = kgenre.KnowledgeGraph.from_rdf(examples / "films.ttl").to_frames()
books, records = pd.read_csv(examples / "books.csv"), pd.read_csv(examples / "music.csv")

# %% [markdown]
# ## One table of items, one of facts
#
# Ids get a prefix, so that the film *Dracula* and the book stay apart. Themes and people are entities; a person
# who writes, sings or directs is one node.

# %%
film_facts = films["facts"]
names = {
    (label, key): name
    for label in ("Person", "Theme")
    for key, name in zip(films[label]["id"], films[label]["name"], strict=True)
}
movie_names = dict(zip(films["items"]["item_id"], films["items"]["name"], strict=True))

items = pd.concat(
    [
        films["items"].assign(
            item_id="film/" + films["items"]["item_id"], kind="film", year=films["items"]["datePublished"]
        ),
        books.assign(item_id="book/" + books["id"], name=books["title"], text=books["about"], kind="book"),
        records.assign(
            item_id="record/" + records["id"], name=records["title"], text=records["about"], kind="record"
        ),
    ]
)[["item_id", "name", "text", "kind"]]
items["name"] += " (" + items["kind"] + ")"

facts = pd.DataFrame(
    {
        "head_id": "film/" + film_facts["head_id"],
        "relation": film_facts["relation"],
        "tail_id": [
            names[pair] for pair in zip(film_facts["tail_label"], film_facts["tail_id"], strict=True)
        ],
        "tail_label": film_facts["tail_label"],
    }
)


def told(table, prefix, column, relation, label):
    """Facts of a column whose values are separated by ``|``."""
    rows = table.assign(value=table[column].str.split("|")).explode("value").dropna(subset="value")
    return pd.DataFrame(
        {"head_id": prefix + rows["id"], "relation": relation, "tail_id": rows["value"], "tail_label": label}
    )


facts = pd.concat(
    [
        facts,
        told(books, "book/", "themes", "HAS_THEME", "Theme"),
        told(books, "book/", "author", "WRITTEN_BY", "Person"),
        told(records, "record/", "themes", "HAS_THEME", "Theme"),
        told(records, "record/", "artist", "PERFORMED_BY", "Person"),
        told(records, "record/", "genre", "OF_GENRE", "Genre"),
    ]
)
# Which book a film was made of: a fact between two items.
film_of = {name: "film/" + key for key, name in movie_names.items()}
filmed = told(books, "book/", "filmed", "BASED_ON", "Item")
filmed = filmed.assign(head_id=filmed["tail_id"].map(film_of), tail_id=filmed["head_id"])
facts = pd.concat([facts.assign(tail_name=facts["tail_id"]), filmed]).assign(head_label="Item")

# %% [markdown]
# ## People who have liked films, and nothing else
#
# Everybody has eight likes among the films. Their likes among books and records are drawn by the same rule and
# taste, and hidden from the model.

# %%
themes = facts[facts["relation"] == "HAS_THEME"].groupby("head_id")["tail_id"].agg(list)
known = themes.index.tolist()
everything = simulate.likes(known, themes.tolist(), people=400, each=20, seed=4, strength=4)
in_films = everything["item_id"].str.startswith("film/")
likes = everything[in_films].groupby("user_id").head(8)
hidden = everything[~in_films]
print(
    f"{len(likes)} likes of films; hidden: {len(hidden)} of books and records, of {hidden['user_id'].nunique()} people"
)

kg = kgenre.KnowledgeGraph.from_frames(likes, items=items, facts=facts)
kg.schema_graph()

# %%
config = HybridConfig.preset("genre").model_copy(update={"baselines": False})
rec = kgenre.HybridRecommender(config).fit(kg, show=False)

# %% [markdown]
# ## Does it carry over?
#
# For everybody, the first five books and records, chosen from all 137, of which nobody has liked a single one.
# Who finds something among them that they really like? Once by what the domains share, once by the texts, once by
# both.

# %%
candidates = [key for key in known if not key.startswith("film/")]
likers = sorted(set(hidden["user_id"]))
wanted = hidden.groupby("user_id")["item_id"].agg(set)


def hits(items, facts):
    """Share of people who find something they like among the first five."""
    graph = kgenre.KnowledgeGraph.from_frames(likes, items=items, facts=facts)
    rec = kgenre.HybridRecommender(config).fit(graph, show=False)
    found = rec.recommend_many(likers, k=5, candidates=candidates).groupby("user_id")["item_id"].agg(set)
    return np.mean([bool(found.get(user, set()) & wanted[user]) for user in likers])


apart = facts[(facts["relation"] != "HAS_THEME") | facts["head_id"].str.startswith("film/")]
silent = items.assign(text=None, name=None)
missed = [np.prod([1 - len(wanted[user]) / (len(candidates) - i) for i in range(5)]) for user in likers]
found = pd.Series(
    {
        "shared themes": hits(silent, facts),
        "shared themes and texts": hits(items, facts),
        "texts, themes of films alone": hits(items, apart),
        "neither: people, and books that were filmed": hits(silent, apart),
        "drawn by lot": 1 - np.mean(missed),
    }
)
figure, axis = plt.subplots(figsize=(8, 2.5), layout="constrained")
axis.barh(found.index, found, color=["tab:orange", "tab:orange", "tab:blue", "tab:blue", "tab:gray"])
axis.invert_yaxis()
axis.set_xlabel("people with something they like among the first five books and records")
plt.show()
found.round(3)

# %%
assert found["shared themes"] > found["texts, themes of films alone"] > found["drawn by lot"]

# %% [markdown]
# What the domains share carries a taste over. The texts alone carry some of it too; beside the themes they are in
# the way here, for the weights are fixed and these people choose by theme and nothing else. Real people do not
# read lists of themes: what texts are worth for them, only their likes can tell (`kgenre worth`).

# %% [markdown]
# ## For you
#
# Change the titles. The reasons name the bridge.

# %%
mine = [film_of[title] for title in ("Alien", "Blade Runner", "2001: A Space Odyssey")]
for kind in ("book", "record"):
    of_kind = items.loc[items["kind"] == kind, "item_id"].tolist()
    best = rec.recommend(history=mine, k=3, candidates=of_kind)
    for item in best["item_id"]:
        print(kind, rec.explain(item=item, history=mine).text)

# %% [markdown]
# And in the graph: from the film to the book that it was made of, and on to what that is about.

# %%
kg.explore(("Item", film_of["Blade Runner"])).expand(("Item", "book/do-androids-dream"))
