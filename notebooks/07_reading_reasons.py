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
# # Reading reasons
#
# Most explanations in this field are stories told afterwards. These are arithmetic: what is shown is what was
# added up. On real likes (MovieLens-100k, fetched on first use) one recommendation is taken apart here, put to
# the test, and changed.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import kgenre
from kgenre.graph.demo import demo_graph
from kgenre.hybrid import HybridConfig

kg = demo_graph()
config = HybridConfig(signals=("multihop", "text", "popularity", "closed_form"), tune=False, baselines=False)
rec = kgenre.HybridRecommender(config).fit(kg, show=False)
user = "196"
best = rec.recommend(user, k=5)
best.round(2)

# %% [markdown]
# ## The ledger
#
# Each signal has a weight, which was learned on held-out likes, and a value: how far the item stands above this
# user's average item, in standard deviations. Weight times value is what it adds.

# %%
why = rec.explain(user, best["item_id"][0])
why.ledger.round(3)

# %% [markdown]
# ## The reasons
#
# The same score once more, by what this user has liked. Both sums are the score.

# %%
total = sum(reason.contribution for reason in why.reasons)
print(f"score {why.score:.9f}, ledger {why.ledger['contribution'].sum():.9f}, reasons {total:.9f}")
assert abs(total - why.score) < 1e-6
print(why.text)

# %%
parts = pd.Series([reason.contribution for reason in why.reasons])
figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
axis.bar(range(len(parts)), parts, color=["tab:orange" if part > 0 else "tab:gray" for part in parts])
axis.set_xlabel(f"{len(parts)} reasons for {why.name}, the strongest first")
axis.set_ylabel("adds to the score")
plt.show()
print(f"the first three make {parts[:3].sum() / parts[parts > 0].sum():.0%} of all that speaks for it")

# %% [markdown]
# A few reasons speak for an item and many whisper, for it and against it. Three sentences are a summary: true,
# and not the whole.

# %% [markdown]
# ## Is it the reason?
#
# Take away what was named, and see. `what_if` asks for the list as it would be; nothing is stored.

# %%
evidence = why.history.sort_values("contribution", ascending=False)
named = evidence.iloc[0]
without = rec.explain(history=[i for i in why.history["item_id"] if i != named["item_id"]], item=why.item_id)
other = evidence.iloc[len(evidence) // 2]
control = rec.explain(history=[i for i in why.history["item_id"] if i != other["item_id"]], item=why.item_id)
print(f"{why.name}: {why.score:.2f}")
print(f"without {named['name']}, the strongest: {without.score:.2f}")
print(f"without {other['name']}, one from the middle: {control.score:.2f}")
assert without.score < control.score

# %%
rec.what_if(user, remove=[named["item_id"]], k=5)

# %% [markdown]
# ## Not because of the actor
#
# A relation can be left out for one question.

# %%
rec.what_if(user, without_relations=["STARRING"], k=5)

# %% [markdown]
# ## Why not?
#
# And for what is missing from the list: where it stands, what it lacks, and what would lift it.

# %%
missing = next(
    i
    for i in ("172", "50", "100", "98", "318")
    if i not in set(best["item_id"]) | set(why.history["item_id"])
)
rec.why_not(user, missing, k=5)

# %%
rec.contrast(user, best["item_id"][0], best["item_id"][4])

# %% [markdown]
# `rec.report([user])` writes all of this as a page to show around, which opens from disk and fetches nothing.
