"""Run by test_live_kills: a recommender that follows a store is told things until it is killed.

Arguments: the store's folder, the model's, a name for this life. Says each event on a line of its own once it is
acknowledged.
"""

import sys

import kgenre

store = kgenre.connect(sys.argv[1], create=False)
rec = kgenre.load(sys.argv[2], store=store)
rec.refresh()
items = ["s0", "s1", "l0", "hit"]
print("ready", flush=True)
for number in range(10_000):
    rows = [
        {
            "user_id": f"{sys.argv[3]}-{number // 4}-{row}",
            "item_id": items[number % 4],
            "weight": 1.0 if number % 3 else -1.0,
            "event_id": f"{sys.argv[3]}-{number:05}-{row}",
        }
        for row in range(1 if number % 2 else 25)
    ]
    rec.add_interactions(rows)
    print("told", *(row["event_id"] for row in rows), flush=True)
    if number % 5 == 3:
        rec.save(sys.argv[2])
    if number % 5 == 4:
        rec.refresh()
