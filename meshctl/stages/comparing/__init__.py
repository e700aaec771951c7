"""How two sets of objects, or two settled sets of values, differ: field by field, in words for people."""
