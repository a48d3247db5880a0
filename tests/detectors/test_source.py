"""Every kind of file that the field brings has its own stated outcome."""

from __future__ import annotations

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors import textfile
from detectors.cells import NULLS, category
from detectors.digest import sha256_file
from detectors.errors import DataError
from detectors.source import Chunk, Stream, header_of, read_frame, stream

A, B = frozenset({"a"}), frozenset({"b"})


def write(folder: Path, data: bytes | str, name: str = "batch.csv") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def drain(path: Path | pd.DataFrame, numeric=A, categorical=B) -> tuple[Stream, list[Chunk]]:
    source = stream(path, numeric, categorical)
    return source, list(source)


def column(chunks: list[Chunk], name: str) -> list:
    return [
        v for c in chunks for v in (c.numeric[name] if name in c.numeric else c.categorical[name]).tolist()
    ]


def outcome(path: Path) -> str:
    """The kind of error, and that both ways of reading agree on it."""
    with pytest.raises(DataError) as streamed:
        drain(path)
    with pytest.raises(DataError) as whole:
        read_frame(path)
    assert streamed.value.kind == whole.value.kind
    assert path.name in streamed.value.message
    return streamed.value.kind


def test_header_names_are_stripped_and_repeated_ones_numbered(tmp_path):
    path = write(tmp_path, " a , b,a\n1,x,2\n")
    source, chunks = drain(path)
    assert source.columns == ("a", "b", "a.1") == header_of(path)
    assert column(chunks, "a") == [1.0]
    assert source.notes == ['column "a" occurs more than once: read as "a.1"']
    assert list(read_frame(path).columns) == ["a", "b", "a.1"]


def test_a_numbered_name_does_not_collide_with_one_that_is_there(tmp_path):
    assert header_of(write(tmp_path, "x,x.1,x\n1,2,3\n")) == ("x", "x.1", "x.2")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = write(tmp_path, b"\xef\xbb\xbfa,b\n1,x\n")
    assert header_of(path) == ("a", "b")
    assert list(read_frame(path).columns) == ["a", "b"]


def test_infinities_and_missing_values_in_all_their_spellings(tmp_path):
    cells = ["Infinity", "-Infinity", "inf", "NaN", "nan", "NA", "N/A", "null", "", "2.5", " 7 "]
    path = write(tmp_path, "a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    source, chunks = drain(path)
    got = column(chunks, "a")
    assert got[:3] == [math.inf, -math.inf, math.inf]
    assert all(math.isnan(v) for v in got[3:9])
    assert got[9:] == [2.5, 7.0]
    assert not any(c.invalid for c in chunks)
    np.testing.assert_array_equal(read_frame(path)["a"].to_numpy(), got)
    assert source.rows == len(cells)


@pytest.mark.parametrize("cell", [*NULLS, " ", " nan ", "nan(7)", "-inf", "word", "1e999"])
def test_a_rare_cell_is_read_alike_with_and_without_a_column_of_text_beside_it(tmp_path, monkeypatch, cell):
    monkeypatch.setattr("detectors.csv_source._BLOCK", 2_000)
    monkeypatch.setattr("detectors.csv_source._COLUMN", 1)
    lines = [f"{i},x" for i in range(3_000)]
    lines[2_000] = f"{cell},x"
    path = write(tmp_path, "a,b\n" + "\n".join(lines) + "\n")
    found = []
    for texts in (frozenset(), B):  # numbers alone are first read as if no cell were empty
        source, chunks = drain(path, A, texts)
        assert source.rows == 3_000 and len(chunks) > 5
        found.append((column(chunks, "a"), sum(chunk.invalid.get("a", 0) for chunk in chunks)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1] == (cell == "word")
    assert found[0][0][1_999:2_002:2] == [1_999, 2_001]


def test_cells_that_are_no_numbers_are_counted_and_missing(tmp_path):
    path = write(tmp_path, "a,b\n1,x\nabc,x\n0x1,x\n1_000,x\n,x\n5,x\n")
    _, chunks = drain(path)
    assert [c.invalid for c in chunks] == [{"a": 3}]
    np.testing.assert_array_equal(column(chunks, "a"), [1, math.nan, math.nan, math.nan, math.nan, 5])


def test_a_wrong_cell_far_down_the_file_costs_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.csv_source._BLOCK", 4099)
    monkeypatch.setattr("detectors.csv_source._COLUMN", 1)
    rows = 20_000
    lines = [f"{i},x,{i}" for i in range(rows)]
    lines[15_000], lines[17_000] = "oops,x,15000", "17000,x,oops"
    path = write(tmp_path, "a,b,c\n" + "\n".join(lines) + "\n")
    source, chunks = drain(path, frozenset({"a", "c"}))
    assert source.rows == rows and len(chunks) > 10
    a = np.array(column(chunks, "a"))
    assert np.flatnonzero(np.isnan(a)).tolist() == [15_000]
    assert np.nansum(a) == sum(range(rows)) - 15_000
    assert {k: sum(c.invalid.get(k, 0) for c in chunks) for k in "ac"} == {"a": 1, "c": 1}


def test_many_columns_of_mixed_type(tmp_path):
    names = [f"f{i}" for i in range(12)]
    body = "".join(",".join("x" if i == k else str(i) for i in range(12)) + "\n" for k in range(12))
    path = write(tmp_path, ",".join(names) + "\n" + body)
    source, chunks = drain(path, frozenset(names), frozenset())
    assert source.rows == 12
    assert chunks[0].invalid == dict.fromkeys(names, 1)


def test_bytes_that_are_not_utf8_in_a_label_are_read_as_cp1252(tmp_path):
    path = write(tmp_path, b"a,b\n1,Web Attack \x96 XSS\n2,caf\xc3\xa9\n")
    _, chunks = drain(path)
    assert column(chunks, "b") == ["Web Attack – XSS", "café"]
    assert read_frame(path)["b"].tolist() == ["Web Attack – XSS", "café"]


def test_bytes_that_are_not_utf8_in_a_column_nobody_needs_do_no_harm(tmp_path):
    path = write(tmp_path, b"a,b,Label\xe9\n1,x,\x96\n2,y,ok\n")
    source, chunks = drain(path)
    assert column(chunks, "a") == [1.0, 2.0]
    assert source.columns[2] == "Labelé"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty_file"),
        (b"\n  \n\r\n", "empty_file"),
        (b"a,b\n", "no_rows"),
        (b"a,b", "no_rows"),
        (b"a,b\n1,x\n2", "truncated"),
        (b'a,b\n1,x\n2,"y', "truncated"),
        (b'a,b\n1,x\n2,"y\n3,z\n', "truncated"),
        (b"a,b\n1,x,3\n2,y\n", "malformed"),
        (b"\x00\x01\x02\x03 binary", "unreadable"),
        ("a,b\n1,x\n".encode("utf-16"), "unreadable"),
        (b"1,2\n3,4\n", "unreadable"),
        (b"PAR1 cut off", "truncated"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, data, kind):
    assert outcome(write(tmp_path, data)) == kind


def test_a_missing_file_and_a_folder(tmp_path):
    assert outcome(tmp_path / "nowhere.csv") == "unreadable"
    assert outcome(tmp_path) == "unreadable"


def test_a_complete_last_row_needs_no_line_break(tmp_path):
    source, chunks = drain(write(tmp_path, "a,b\n1,x\n2,y"))
    assert source.rows == 2 and column(chunks, "b") == ["x", "y"]


def test_quotes_line_breaks_and_delimiters_inside_cells(tmp_path):
    path = write(tmp_path, 'a,"b"\n1,"x, ""y"""\n2,"two\nlines"\n3,5" pipe\n')
    source, chunks = drain(path)
    assert source.rows == 3
    assert column(chunks, "b") == ['x, "y"', "two\nlines", '5" pipe']


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends(tmp_path, mark, end):
    _, chunks = drain(write(tmp_path, end.join([f"a{mark}b", f"1{mark}x", f"2{mark}y", ""])))
    assert column(chunks, "a") == [1.0, 2.0] and column(chunks, "b") == ["x", "y"]


def test_a_few_malformed_rows_are_left_out_and_named(tmp_path):
    source, chunks = drain(write(tmp_path, "a,b\n" + "1,x\n" * 99 + "1,x,y\n" + "2,z\n"))
    assert source.rows == 100 and source.malformed_rows == 1
    assert len(source.errors) == 1 and "1 of 101 rows" in source.errors[0]
    assert column(chunks, "a")[-1] == 2.0


@pytest.mark.parametrize("name", ["b.csv.gz", "b.csv.zst", "b.csv"])
def test_compressed_files_are_known_by_their_content(tmp_path, name):
    plain = b"a,b\n" + b"1,x\n" * 1000
    data = pa.compress(plain, "zstd", asbytes=True) if name.endswith("zst") else gzip.compress(plain)
    path = write(tmp_path, data, name)
    source, _ = drain(path)
    assert source.rows == 1000 == len(read_frame(path))


def test_a_cut_off_gzip_is_truncated(tmp_path):
    rng = np.random.default_rng(0)
    plain = "a,b\n" + "".join(f"{v},x\n" for v in rng.random(200_000))
    data = gzip.compress(plain.encode(), 1)
    assert outcome(write(tmp_path, data[: len(data) // 2], "cut.csv.gz")) == "truncated"


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "_MAX_PLAIN", 1 << 22)
    assert outcome(write(tmp_path, gzip.compress(b"a,b\n" + b"1,x\n" * 3_000_000), "bomb.csv.gz")) == "bomb"


def test_parquet_reads_like_csv(tmp_path):
    frame = pd.DataFrame({" a": [1.5, None, math.inf], "b": ["x", None, "true"], "c": [True, False, True]})
    path = tmp_path / "p.parquet"
    frame.to_parquet(path)
    source, chunks = drain(path, A, frozenset({"b", "c"}))
    assert source.columns == ("a", "b", "c") and source.rows == 3
    np.testing.assert_array_equal(column(chunks, "a"), [1.5, math.nan, math.inf])
    assert column(chunks, "b") == ["x", None, "True"] and column(chunks, "c") == ["True", "False", "True"]
    assert list(read_frame(path).columns) == ["a", "b", "c"]


def test_a_cut_off_parquet_and_one_without_rows(tmp_path):
    path = tmp_path / "p.parquet"
    pd.DataFrame({"a": [1.0] * 50}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert outcome(path) == "truncated"
    pd.DataFrame({"a": pd.Series([], dtype=float)}).to_parquet(path)
    assert outcome(path) == "no_rows"
    assert outcome(write(tmp_path, b"not parquet", "x.parquet")) == "unreadable"


def test_a_parquet_text_column_where_numbers_should_be(tmp_path):
    path = tmp_path / "p.parquet"
    pd.DataFrame({"a": ["1", "2.5", "abc", None]}).to_parquet(path)
    _, chunks = drain(path, A, frozenset())
    assert chunks[0].invalid == {"a": 1}
    np.testing.assert_array_equal(column(chunks, "a"), [1, 2.5, math.nan, math.nan])


def test_a_frame_reads_like_a_file():
    frame = pd.DataFrame({" a": ["1", "x", None], "b": [3.0, None, 4.0], "l": [[1], [2], [1]]})
    source, chunks = drain(frame, A, frozenset({"b", "l"}))
    assert chunks[0].invalid == {"a": 1}
    assert column(chunks, "b") == ["3", None, "4"] and column(chunks, "l") == ["[1]", "[2]", "[1]"]
    assert source.rows == 3


def test_a_frame_without_rows():
    with pytest.raises(DataError) as caught:
        drain(pd.DataFrame({"a": []}))
    assert caught.value.kind == "no_rows"


def test_several_files_must_share_their_columns(tmp_path):
    one = write(tmp_path, "a,b\n1,x\n", "one.csv")
    two = write(tmp_path, "b,a\ny,2\n", "two.csv")
    whole = read_frame([one, two])
    assert whole["a"].tolist() == [1, 2] and whole["b"].tolist() == ["x", "y"]
    three = write(tmp_path, "a,c\n1,x\n", "three.csv")
    with pytest.raises(DataError, match=r'three\.csv.*lacks "b".*has "c" more') as caught:
        read_frame([one, three])
    assert caught.value.kind == "columns"


def test_the_digest_is_that_of_the_bytes(tmp_path):
    # FIPS 180-4 example: SHA-256 of "abc"
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(write(tmp_path, b"abc")) == expected


def test_progress_is_told(tmp_path):
    said: list[str] = []
    read_frame(write(tmp_path, "a,b\n1,x\n"), progress=said.append)
    assert said == ["reading batch.csv"]


@pytest.mark.parametrize("name", ["batch.csv", "batch.csv.gz", "batch.parquet"])
def test_reading_a_stream_tells_how_many_bytes_of_the_file_are_done(tmp_path, name):
    path = tmp_path / name
    frame = pd.DataFrame({"a": np.random.default_rng(0).random(300_000), "b": ["word"] * 300_000})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    said: list[tuple[int, int]] = []
    found = stream(path, frozenset({"a"}), frozenset({"b"}), progress=lambda *step: said.append(step))
    assert sum(chunk.rows for chunk in found) == 300_000
    done = [bytes_done for bytes_done, _ in said]
    assert {total for _, total in said} == {path.stat().st_size}
    assert done == sorted(done)
    assert 0 < done[0] < done[-1] == path.stat().st_size


texts = st.text(st.sampled_from("ab\" ,;\n'é|\t"), max_size=6)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(), texts), min_size=1, max_size=30),
    st.booleans(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_any_table_that_was_written_is_read_back(tmp_path, rows, final_break, mark, quoting):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, quoting=quoting, lineterminator="\n")
    writer.writerows([("a", "b", "c"), *((number, text, 1) for number, text in rows)])
    text = out.getvalue() if final_break else out.getvalue().removesuffix("\n")
    _, chunks = drain(write(tmp_path, text))
    np.testing.assert_array_equal(column(chunks, "a"), [number for number, _ in rows])
    assert column(chunks, "b") == [category(text) for _, text in rows]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400))
def test_a_file_cut_anywhere_is_truncated_or_a_shorter_table(tmp_path, cut):
    whole = "a,b,c\n" + "".join(f'{i},"x ""{i}"", y",{i * 1000}\n' for i in range(20))
    path = write(tmp_path, whole[:cut])
    try:
        source, chunks = drain(path, frozenset({"a", "c"}))
    except DataError as error:
        assert error.kind in ("truncated", "no_rows", "empty_file", "columns")
        assert error.kind != "truncated" or not whole[:cut].endswith("\n")
    else:
        assert source.rows == whole[:cut].count("\n") - whole[:cut].endswith("\n")
        assert column(chunks, "a") == list(range(source.rows))


def test_rows_that_stray_quotes_swallow_are_said(tmp_path):
    rows = ['1,"x', *["1,x"] * 500, '1,x"', *["1,x"] * 100]
    path = tmp_path / "q.csv"
    path.write_text("a,b\n" + "\n".join(rows) + "\n")
    found = stream(path, frozenset("a"), frozenset("b"))
    assert sum(chunk.rows for chunk in found) == 101
    assert found.notes == [
        f"{path}: 501 line breaks lie within quoted cells: check the quotes if none should"
    ]
    assert read_frame(path).attrs["notes"] == found.notes


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_and_blank_lines_as_they_should_be_need_no_remark(tmp_path, end):
    path = tmp_path / "q.csv"
    path.write_bytes(end.join(["a,b", "", '1,"x"', "", "", "", '2,"y, z"', "", "", "", ""]).encode())
    found = stream(path, frozenset("a"), frozenset("b"))
    assert (sum(chunk.rows for chunk in found), found.notes) == (2, [])


def test_the_delimiter_is_looked_for_outside_quoted_names(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('"a";"b, c, d, e";"f"\n1;2;3\n')
    assert header_of(path) == ("a", "b, c, d, e", "f")


@pytest.mark.parametrize(("bad", "refused"), [(50, False), (51, True)])
def test_five_in_a_hundred_rows_of_another_length_are_left_out_and_more_refused(tmp_path, bad, refused):
    path = tmp_path / "m.csv"
    path.write_text("a,b\n" + "1,2\n" * (1000 - bad) + "1,2,3\n" * bad)
    found = stream(path, frozenset("ab"), frozenset())
    if refused:
        with pytest.raises(DataError, match="51 of 1,000 rows do not have 2 cells"):
            list(found)
    else:
        assert sum(chunk.rows for chunk in found) == 950


lines = st.sampled_from(
    [
        '1.5,"a, b",1',
        '2,"line\nbreak",2',
        "3,plain,3",
        "oops,x,4",
        "5,x,oops",
        "6,too,many,cells",
        "",
        '7,5" pipe,7',
        "8,x",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(lines, min_size=1, max_size=40),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["", ".gz"]),
)
def test_a_file_in_small_blocks_reads_like_one_in_a_single_block(tmp_path, rows, end, ending):
    calm = ["9,y,9", "10.25,z,10"] * 200  # enough rows that some may be malformed
    body = "a,b,c" + end + end.join([*calm, *rows, *calm]) + end
    data = gzip.compress(body.encode()) if ending else body.encode()
    path = write(tmp_path, data, f"batch.csv{ending}")
    seen = []
    for size in (64, 1 << 20):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("detectors.csv_source._BLOCK", size)
            patched.setattr("detectors.csv_source._COLUMN", 1)
            try:
                source, chunks = drain(path, frozenset({"a", "c"}))
            except DataError as error:
                seen.append(error.kind)
                continue
        cells = [column(chunks, name) for name in "abc"]
        invalid = {name: sum(c.invalid.get(name, 0) for c in chunks) for name in "ac"}
        seen.append((str(cells), invalid, source.rows, source.malformed_rows, source.notes))
    assert seen[0] == seen[1]


def test_a_quote_far_down_the_file_costs_no_row_and_doubles_none(tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.csv_source._BLOCK", 4099)
    monkeypatch.setattr("detectors.csv_source._COLUMN", 1)
    rows = [f"{i},x,{i}" for i in range(20_000)]
    rows[12_000], rows[16_000] = '12000,"two\nlines",12000', "oops,x,16000"
    source, chunks = drain(write(tmp_path, "a,b,c\n" + "\n".join(rows) + "\n"), frozenset({"a", "c"}))
    assert source.rows == 20_000
    assert column(chunks, "c") == list(range(20_000))
    assert column(chunks, "b")[12_000] == "two\nlines"
    assert sum(c.invalid.get("a", 0) for c in chunks) == 1
    assert any("1 line breaks lie within quoted cells" in note for note in source.notes)


def test_cells_that_are_no_numbers_in_many_blocks_at_once_refuse_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("detectors.csv_source._BLOCK", 2000)
    monkeypatch.setattr("detectors.csv_source._COLUMN", 1)
    names = [f"f{i}" for i in range(8)]
    rows = [
        ",".join("abc" if row % 77 == 11 * column else f"{row}.{column}" for column in range(8))
        for row in range(30_000)
    ]
    path = write(tmp_path, ",".join(names) + "\n" + "\n".join(rows) + "\n")
    for _ in range(3):
        source, chunks = drain(path, frozenset(names), frozenset())
        assert source.rows == 30_000
        assert len(chunks) > 100
        wrong = {name: sum(c.invalid.get(name, 0) for c in chunks) for name in names}
        assert wrong == {f"f{i}": len(range(11 * i, 30_000, 77)) if i < 7 else 0 for i in range(8)}
    assert column(chunks, "f7") == [float(f"{row}.7") for row in range(30_000)]


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz"])
def test_a_row_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(textfile, "_LONGEST", 1 << 20)
    monkeypatch.setattr("detectors.csv_source._BLOCK", 1 << 16)
    data = b"a,b\n1,2\n" + b"x" * (3 << 20) + b"\n1,2\n" * 30
    path = write(tmp_path, gzip.compress(data) if name.endswith(".gz") else data, name)
    with pytest.raises(DataError, match="a row of more than 1 MiB"):
        drain(path)


def test_a_last_cell_of_any_length_is_no_riddle(tmp_path):
    source, _ = drain(write(tmp_path, b"a,b\n1," + b"z" * 200_000))
    assert source.rows == 1


def test_a_number_that_is_none_is_missing_however_it_is_written(tmp_path):
    path = write(tmp_path, "a,b\nnan(abc),x\n-nan(1),x\nNaN(),x\n3,x\n")
    for text in ("", "word,x\n"):  # with a word the column is read as text
        path.write_text(path.read_text() + text)
        _, chunks = drain(path)
        assert sum(c.invalid.get("a", 0) for c in chunks) == bool(text)
        assert sum(math.isnan(v) for v in column(chunks, "a")) == 3 + bool(text)
