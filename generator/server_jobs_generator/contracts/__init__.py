"""Compatibility of specs with existing jobs: released contracts, changes since then, and broken readers.

================================  ============================================
to change                         open
================================  ============================================
the parts of a contract           `contract`
the record of released contracts  `lock_file`, and `lock_merge` during a merge
the entries that a run writes     `job_history`
versions and their upcasters      `job_history`
the changes of a schema           `compare`
the severity of a change          `judge`, `contract_rules`
the findings of a run             `review`, `finding`, `accepted`
the places that findings show     `spec_places`
`check --against`                 `against_revision`
================================  ============================================
"""
