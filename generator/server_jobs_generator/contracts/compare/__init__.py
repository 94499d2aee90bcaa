"""The difference between two schemas, and the directions in which each change breaks. Start at `compare_schemas`.

================================  =================
to change                         open
================================  =================
which keywords are compared       `compare_schemas`
a change and its verdicts         `change`
changes of objects                `objects`
changes of numbers, texts, enums  `scalars`
unions and lists of types         `alternatives`
when two schemas are equal        `node`
================================  =================
"""
