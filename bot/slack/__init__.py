"""Everything people see and press in Slack.

Pure parts, from records to Block Kit: `text` (words, escaping), `blocks` (block builders and tables), one
module for each subject (`batch_blocks`, `incident_blocks`, `retrain_blocks`, `matrix_blocks`, `performance_blocks`,
`shadow_blocks`, `status_blocks`, `version_blocks`), `modals`, `home`, `plots` (PNG) and `manifest`. `ids` names every
button and dialog.

Parts that listen and speak: `connection` to Slack, `app` with its listeners `commands` (slash, mention) and `actions`
(buttons, forms), which use `services` and reply by `answers`; `samples` hands rows out; `delivery` empties the outbox
by `rendering`.
"""
