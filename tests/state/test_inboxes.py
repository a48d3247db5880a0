from __future__ import annotations

from state.store import Store


def test_files_that_were_dealt_with_are_known_after_a_restart(path, store):
    store.dealt_with("ids").keep({"/inbox/a.csv": "1", "s3://bucket/b.csv": '"etag":9:7'})
    store.dealt_with("ids").keep({"/inbox/a.csv": "2"})
    store.dealt_with("other").keep({"/inbox/a.csv": "3"})
    store.close()
    with Store(path) as again:
        assert again.dealt_with("ids").load() == {"/inbox/a.csv": "2", "s3://bucket/b.csv": '"etag":9:7'}
        assert again.dealt_with("other").load() == {"/inbox/a.csv": "3"}
        again.dealt_with("ids").drop(["/inbox/a.csv", "/inbox/unknown.csv"])
        assert again.dealt_with("ids").load() == {"s3://bucket/b.csv": '"etag":9:7'}
        assert again.dealt_with("other").load() == {"/inbox/a.csv": "3"}
