"""Why a generated file is not as it should be."""

from __future__ import annotations

from ..problems.output_rules import EDITED, EXTRA, HANDLER_NOT_MOVED, MERGE_CONFLICT, MISSING, STALE
from .explanation import Example, Explanation

GENERATED = "in a shell, where everything has been generated"

EXPLANATIONS = (
    Explanation(
        MISSING,
        "What is generated is committed with the specs, so that nothing has to be generated to run. Generate again.",
        Example(GENERATED, "rm generated/registry.py", "server-jobs generate", "sh"),
    ),
    Explanation(
        STALE,
        "The spec or the generator changed since the file was written. Generate again, and commit both together.",
        Example(
            GENERATED,
            'sed -i \'s/"title"/"description": "Mail.", "title"/\' specs/send_email.json',
            "server-jobs generate",
            "sh",
        ),
    ),
    Explanation(
        EDITED,
        "The next run would overwrite the change, so none does before you say so. Make the change in the spec or in a "
        "handler; a file written once, such as a handler, is yours and never called edited.",
        Example(GENERATED, "echo '# mine' >> generated/registry.py", "server-jobs generate --force", "sh"),
    ),
    Explanation(
        EXTRA,
        "The folders generated/jobs and generated/models belong to the generator: whatever else lies there would be "
        "imported with it, and nobody would know where it came from.",
        Example(GENERATED, "echo > generated/models/mine.py", "rm generated/models/mine.py", "sh"),
    ),
    Explanation(
        HANDLER_NOT_MOVED,
        "A job goes by its title, its handler by the name of the spec's file. A handler that stays behind would not be "
        "called any more, and a new stub would be in its way, so nothing is written before it has moved. Your type "
        "checker then finds the imports that have to follow.",
        Example(
            GENERATED,
            "mv specs/send_email.json specs/mail.json",
            "mv handlers/send_email.py handlers/mail.py\nserver-jobs generate",
            "sh",
        ),
    ),
    Explanation(
        MERGE_CONFLICT,
        "Specs, handlers and the settings of the Worker are yours, so only you can merge them. Solve the conflict, and "
        "generate. Conflicts in other generated files need no attention: the next run writes those files from the "
        "specs and from the contracts that both branches released, and joins the revisions of both.",
        Example(
            GENERATED,
            "printf '<<<<<<< HEAD\\n=======\\n>>>>>>> main\\n' >> generated/worker/wrangler.jsonc",
            "git checkout --ours -- generated/worker/wrangler.jsonc\nserver-jobs generate",
            "sh",
        ),
    ),
)
