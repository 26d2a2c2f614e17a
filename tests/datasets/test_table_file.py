"""Tables of every make are read, or refused with a sentence that says where."""

import csv
import io
import itertools
import os
import string

import polars
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nnrun.datasets.tables import source
from nnrun.datasets.tables.file import check_columns, read_table
from nnrun.datasets.tables.source import TableFormat
from nnrun.errors import ConfigError, NnrunError, RunError

SHARED_FOLDER = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
fresh = itertools.count()


def write(folder, content, name="t.csv"):
    path = folder / f"{next(fresh)}{name}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "options", "columns"),
    [
        ("a,b\n1,2\n\n3,4\n\n", {}, {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b\r\n1,2\r\n", {}, {"a": ["1"], "b": ["2"]}),
        ("a,b\r1,2\r", {}, {"a": ["1"], "b": ["2"]}),
        ('a,"b c"\n"x\ny, z","say ""it"""\n', {}, {"a": ["x\ny, z"], "b c": ['say "it"']}),
        ("a;b\n1,5;2\n", {}, {"a": ["1,5"], "b": ["2"]}),
        ("a|b\n1|\n", {}, {"a": ["1"], "b": [None]}),
        ("a b\n1 2\n", {"separator": "space"}, {"a": ["1"], "b": ["2"]}),
        ("1,2\n3,4\n", {}, {"column_1": ["1", "3"], "column_2": ["2", "4"]}),
        ("a,b\n", {"header": False}, {"column_1": ["a"], "column_2": ["b"]}),
        ("1,2\n3,4\n", {"header": True}, {"1": ["3"], "2": ["4"]}),
        (",b\n0,2\n", {}, {"column_1": ["0"], "b": ["2"]}),
        ("a\n1\n2\n3\n", {}, {"a": ["1", "2", "3"]}),
        (b"\xef\xbb\xbfa\n1\n", {}, {"a": ["1"]}),
        ("ä\nü\n".encode("utf-16"), {}, {"ä": ["ü"]}),
        ("ä\nü\n".encode("latin-1"), {"encoding": "latin-1"}, {"ä": ["ü"]}),
    ],
)
def test_tables_of_every_make(content, options, columns, tmp_path):
    assert read_table(write(tmp_path, content), **options).frame.to_dict(as_series=False) == columns


def test_by_extension_a_tsv_is_split_at_tabs_and_a_parquet_keeps_its_types(tmp_path):
    assert read_table(write(tmp_path, "a,b\tc\n1\t2\n", "t.tsv")).frame.columns == ["a,b", "c"]
    polars.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").frame.dtypes == [polars.Int64, polars.String]


@pytest.mark.parametrize(
    ("content", "name", "error", "said"),
    [
        ("", "t.csv", ConfigError, " is empty. Name a table with at least a header and one row."),
        ("\n \n", "t.csv", ConfigError, " holds nothing but blank lines."),
        ("a,b\n", "t.csv", ConfigError, " has no rows below its header."),
        ("a,b\n1,2\n3\n", "t.csv", RunError, ", line 3 has 1 fields, but the first line has 2."),
        ("a,b\n1,2\n\n3,4,5\n", "t.csv", RunError, ", line 4 has 3 fields, but the first line has 2."),
        ("\n\r\n\na,b\n1,2\n3\n", "t.csv", RunError, ", line 6 has 1 fields, but the first line has 2."),
        ("\r\ra,b\r1,2\r3,4,5\r", "t.csv", RunError, ", line 5 has 3 fields, but the first line has 2."),
        ('\n\na,b\n1,2\n"3,4\n', "t.csv", RunError, ", line 5: a double quote is opened and never closed."),
        ('a,b\n1,2\n"3,4\n', "t.csv", RunError, ", line 3: a double quote is opened and never closed. Check"),
        ('a,b\n1,2\n"3,4\n5,6\n\n7,8\n', "t.csv", RunError, ", line 3: a double quote is opened and never closed."),
        (
            'a,b\n1,2\n5"2,4\n7,8\n',
            "t.csv",
            RunError,
            ', line 3 has a double quote inside the field 5"2, which nothing closes. Take it out, or write the field '
            'as "5""2".',
        ),
        ('a,b\n"x"y,1\n', "t.csv", RunError, ", line 2: ',' expected after '\"'."),
        ("a,b,a\n1,2,3\n", "t.csv", ConfigError, " has two columns named a: columns 1 and 3. Rename one."),
        ("1,x\n2,y\n", "t.csv", ConfigError, "Set dataset.header=true or dataset.header=false."),
        (b"a,b\n1,2\n\xe4,2\n", "t.csv", ConfigError, ", line 3: byte 0xe4 is not utf-8 text. Save the file as UTF-8"),
        (b"a,b\n1,2\n\x003,4\n", "t.csv", ConfigError, ", line 3 holds a zero byte, which no text has."),
        (b"\x1f\x8b\x08", "t.csv", ConfigError, " is gzip, not text. Unpack it"),
        (b"PK\x03\x04", "t.csv", ConfigError, " is a zip archive or a spreadsheet, not text."),
        ("a,b\n1,2\n", "t.parquet", RunError, " is no whole parquet file: "),
        (
            "a,b\n1,2\n",
            "t.xlsx",
            ConfigError,
            " must be a table: a file that ends in one of .csv, .tsv, ",
        ),
    ],
)
def test_what_is_no_table_is_said_with_file_and_line(content, name, error, said, tmp_path):
    path = write(tmp_path, content, name)
    with pytest.raises(error) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n\r\n"])
@pytest.mark.parametrize(
    ("content", "numbered"),
    [
        ("a,b\n1,2\n\n,\n3,4", {0: ("1", "2"), 2: (None, None), 3: ("3", "4")}),
        ("a,b\n\n1,2\n,", {1: ("1", "2"), 2: (None, None)}),
        ('a,b\n"1\n\nx",2\n\n3,4\n\n,\n5,6', {0: ("1\n\nx", "2"), 2: ("3", "4"), 4: (None, None), 5: ("5", "6")}),
        ("1,2\n\n3,4", {0: ("1", "2"), 2: ("3", "4")}),
        ("a\n1\n\n3\n\n5", {0: ("1",), 1: (None,), 2: ("3",), 3: (None,), 4: ("5",)}),
        ("a\n\n\n3", {0: (None,), 1: (None,), 2: ("3",)}),
        ('a\n1\n""', {0: ("1",), 1: ("",)}),
    ],
)
@pytest.mark.parametrize("before", ["", "\n", "\r\n\n\n"])
@pytest.mark.parametrize("large", [False, True])
def test_empty_rows_keep_their_numbers_and_blank_lines_count(
    content, numbered, end, before, large, tmp_path, monkeypatch
):
    monkeypatch.setattr(source, "LARGE", 0 if large else 2**26)
    blocks = list(source.blocks(write(tmp_path, before + content + end), TableFormat(), 2))
    assert [int(row) for _, place in blocks for row in place.rows] == list(numbered)
    assert [row for frame, _ in blocks for row in frame.rows()] == list(numbered.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x^2,y\n1,2\n", "its first line must not begin with x^, which is how a compressed file begins."),
        (b"\x1f\x8b\x08", " is gzip, not text. Unpack it"),
        (b"a,b\n1,2\n\xe4,2\n", ", line 3: byte 0xe4 is not utf-8 text. Save the file as UTF-8"),
        ("\n\n\na,b\n1,2\n3\n", ", line 6 has 1 fields, but the first line has 2."),
    ],
)
def test_what_is_no_table_is_said_of_a_large_file_too(content, said, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LARGE", 0)
    path = write(tmp_path, content)
    with pytest.raises(NnrunError) as caught:
        list(source.blocks(path, TableFormat(), 2))
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("large", [False, True])
def test_empty_rows_of_a_parquet_are_rows(large, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "LARGE", 0 if large else 2**26)
    polars.DataFrame({"a": [1, None, 3, None], "b": ["x", None, "z", None]}).write_parquet(tmp_path / "t.parquet")
    blocks = list(source.blocks(tmp_path / "t.parquet", TableFormat(), 3))
    assert [int(row) for _, place in blocks for row in place.rows] == [0, 1, 2, 3]


def test_a_path_that_is_not_there_a_folder_and_an_unknown_encoding(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.csv cannot be opened: No such file or directory\. Check"):
        read_table(tmp_path / "nope.csv")
    with pytest.raises(ConfigError, match="must be a table"):
        read_table(tmp_path)
    with pytest.raises(ConfigError, match=r"dataset\.encoding=klingon is not known"):
        read_table(write(tmp_path, "a\n1\n"), encoding="klingon")


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(tmp_path):
    path = write(tmp_path, "a\n1\n")
    first = read_table(path).frame
    assert read_table(path).frame is first
    path.write_text("a\n22\n")
    assert read_table(path).frame["a"].to_list() == ["22"]


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, monkeypatch):
    path, read = write(tmp_path, "a\n1\n"), polars.read_csv

    def slowly(*given, **options):
        os.utime(path, (1, 1))
        return read(*given, **options)

    monkeypatch.setattr(polars, "read_csv", slowly)
    with pytest.raises(RunError, match="changed while it was read"):
        read_table(path)


def test_a_column_that_is_not_there_names_the_nearest():
    frame = polars.DataFrame({"price": [1], "rooms": [2]})
    check_columns(frame, ("price",), "t.csv", "dataset.target")
    with pytest.raises(ConfigError) as caught:
        check_columns(frame, ("prise",), "t.csv", "dataset.target")
    assert str(caught.value) == "t.csv has no column prise, which dataset.target names. Did you mean price?"


CELLS = st.text(st.sampled_from(string.ascii_letters + string.digits + ' ,;"\n.-é'), min_size=1, max_size=6).filter(
    lambda text: text.strip() == text
)


@SHARED_FOLDER
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_what_the_standard_library_writes_comes_back(tmp_path, rows):
    text = io.StringIO(newline="")
    names = [f"n{i}" for i in range(len(rows[0]))]
    csv.writer(text).writerows([names, *rows])
    frame = read_table(write(tmp_path, text.getvalue()), "comma").frame
    assert frame.columns == names
    assert [list(row) for row in frame.rows()] == rows


@SHARED_FOLDER
@given(st.one_of(st.binary(max_size=60), st.text(st.sampled_from('a1,;\t"\r\n .é\x00|'), max_size=40).map(str.encode)))
@example(b'"')
@example(b',\n"')
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path, content):
    path = write(tmp_path, content)
    frame, said = None, ""
    try:
        frame = read_table(path).frame
    except NnrunError as error:
        said = str(error)
    assert (frame is None) == (str(path) in said)
    assert frame is None or (frame.height > 0 and len(set(frame.columns)) == frame.width > 0)
