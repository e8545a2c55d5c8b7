"""The names of columns, labels and relationship types: each stated here once."""

USER_ID = "user_id"
ITEM_ID = "item_id"
WEIGHT = "weight"
TIMESTAMP = "timestamp"
EVENT_ID = "event_id"

HEAD_ID = "head_id"
RELATION = "relation"
TAIL_ID = "tail_id"
HEAD_LABEL = "head_label"
TAIL_LABEL = "tail_label"

ID = "id"
NAME = "name"
TEXT = "text"
ENTITY_ID = "entity_id"
"""Property of an item: its id in the knowledge graph it was linked to."""

RANK = "rank"
SCORE = "score"

USER = "User"
ITEM = "Item"
ENTITY = "Entity"
"""Label of a fact's head or tail when the source gives none."""
INTERACTED = "INTERACTED"
"""Relationship type of an interaction in a store."""
