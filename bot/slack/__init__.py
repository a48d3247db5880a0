"""Everything people see and press in Slack.

Pure parts, from records to Block Kit: `text` (words, escaping), `blocks` (block builders and tables), one
module for each subject (`batch_blocks`, `incident_blocks`, `retrain_blocks`, `matrix_blocks`, `performance_blocks`,
`status_blocks`), `modals`, `home`, `plots` (PNG) and `manifest`. `ids` names every button and dialog.
"""
