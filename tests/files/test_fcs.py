"""FCS files written byte by byte here: what is read, what is refused, and in which words."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from cytotrial.errors import FcsError
from cytotrial.files.fcs import (
    FcsHeader,
    FcsReport,
    check_events,
    examine_fcs,
    finding_line,
    inspect_fcs,
    read_events,
)
from cytotrial.terms import Outcome

TODAY = date(2026, 6, 1)
N_EVENTS = 24
NAMES = ("FSC-A", "FL1-A", "FL2-A", "Time")
Rows = Sequence[Sequence[float]]


def ramp(n_events: int = N_EVENTS, n_channels: int = len(NAMES)) -> list[list[float]]:
    """Event i has the value 100·i + channel; every value is different and small enough for any type."""
    return [[100.0 * i + j for j in range(n_channels)] for i in range(n_events)]


def keywords_of(names: Sequence[str], n_events: int, datatype: str, bits: Sequence[int]) -> dict[str, str]:
    keywords = {
        "$PAR": str(len(names)),
        "$TOT": str(n_events),
        "$MODE": "L",
        "$DATATYPE": datatype,
        "$BYTEORD": "1,2,3,4",
        "$NEXTDATA": "0",
        "$TIMESTEP": "0.01",
    }
    for n, (name, width) in enumerate(zip(names, bits, strict=True), start=1):
        keywords |= {f"$P{n}N": name, f"$P{n}B": str(width), f"$P{n}E": "0,0", f"$P{n}R": "4096"}
    return keywords


def fcs_bytes(
    data: bytes | None = None,
    *,
    names: Sequence[str] = NAMES,
    n_events: int = N_EVENTS,
    datatype: str = "F",
    bits: Sequence[int] = (),
    version: str = "3.1",
    delimiter: str = "/",
    changes: Mapping[str, str | None] | None = None,
    more: str = "",
    gap: bytes = b"",
    tail: bytes = b"00000000",
    header_data: tuple[int, int] | None = None,
) -> bytes:
    """HEADER, TEXT with `changes` (None leaves a keyword out) and `more`, gap, DATA, tail."""
    bits = bits or (64 if datatype == "D" else 32,) * len(names)
    if data is None:
        data = np.array(ramp(n_events, len(names)), dtype="<f4" if datatype == "F" else "<f8").tobytes()
    keywords = {
        "$BEGINDATA": "{begin:08d}",
        "$ENDDATA": "{end:08d}",
        **keywords_of(names, n_events, datatype, bits),
    }
    keywords |= {key: value for key, value in (changes or {}).items() if value is not None}
    kept = {key: value for key, value in keywords.items() if (changes or {}).get(key, "") is not None}
    text = delimiter + "".join(f"{key}{delimiter}{value}{delimiter}" for key, value in kept.items()) + more
    begin = 58 + len(text.replace("{begin:08d}", "0" * 8).replace("{end:08d}", "0" * 8).encode()) + len(gap)
    end = begin + len(data) - 1
    encoded = text.replace("{begin:08d}", f"{begin:08d}").replace("{end:08d}", f"{end:08d}").encode()
    first, last = header_data or (begin, end)
    header = f"FCS{version}    {58:8d}{57 + len(encoded):8d}{first:8d}{last:8d}{0:8d}{0:8d}"
    return header.encode() + encoded + gap + data + tail


def integers(rows: Sequence[Sequence[int]], widths: Sequence[int], *, byteorder: str = "little") -> bytes:
    """Unsigned integers of the given widths in bits, event after event."""
    order = "little" if byteorder == "little" else "big"
    return b"".join(
        value.to_bytes(width // 8, order)  # type: ignore[arg-type]
        for row in rows
        for value, width in zip(row, widths, strict=True)
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write bytes to a file and return its path."""

    def write(content: bytes, name: str = "tube.fcs") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def inspect(save: Callable[..., Path]) -> Callable[..., FcsReport]:
    """Build a file from the arguments of `fcs_bytes` and inspect it."""

    def run(*args: object, **options: object) -> FcsReport:
        return examine_fcs(save(fcs_bytes(*args, **options)), today=TODAY)  # type: ignore[arg-type]

    return run


def header_of(report: FcsReport) -> FcsHeader:
    assert report.header is not None, lines(report)
    return report.header


def lines(report: FcsReport) -> str:
    return "\n".join(finding_line(finding, file=report.file) for finding in report.findings)


def codes(report: FcsReport) -> list[str]:
    return [finding.code for finding in report.findings]


def decoded(save: Callable[..., Path], content: bytes) -> np.ndarray:
    path = save(content)
    return read_events(path, header_of(inspect_fcs(path, today=TODAY))).events.values


class TestReading:
    def test_a_correct_file_has_no_finding_and_keeps_names_order_and_values(self, save):
        path = save(
            fcs_bytes(changes={"$P2S": "CD4", "$CYT": "Canto", "$DATE": "01-MAR-2024", "$BTIM": "10:30:05"})
        )
        report = examine_fcs(path, today=TODAY)
        header = header_of(report)
        events = read_events(path, header).events
        assert report.outcome is Outcome.OK, lines(report)
        assert events.channels == NAMES
        assert header.channels[1].label == "CD4"
        assert (header.cytometer, header.acquired) == ("Canto", "2024-03-01T10:30:05")
        assert events.values.shape == (4, N_EVENTS)
        assert events.values.dtype == np.float32
        assert events.row("FL1-A")[3] == 301.0  # event 3, channel 1 of the ramp
        # the time channel is in units of $TIMESTEP 0.01 s: 303 × 0.01
        assert events.row("Time")[3] == np.float32(3.03)

    @pytest.mark.parametrize(("order", "code"), [("1,2,3,4", "<f4"), ("4,3,2,1", ">f4")])
    def test_both_byte_orders_give_the_same_events(self, save, order, code):
        data = np.array(ramp(), dtype=code).tobytes()
        values = decoded(save, fcs_bytes(data, changes={"$BYTEORD": order, "$TIMESTEP": "1"}))
        np.testing.assert_array_equal(values, np.array(ramp()).T)

    @pytest.mark.parametrize("order", [(2, 1, 4, 3), (3, 4, 1, 2)])
    def test_a_mixed_byte_order_says_the_significance_of_each_byte(self, save, order):
        # 0x01020304 has the bytes 04 03 02 01 by significance 1 to 4; the order says where each stands.
        by_significance = {1: 0x04, 2: 0x03, 3: 0x02, 4: 0x01}
        data = bytes(by_significance[s] for s in order) * 4 * N_EVENTS
        content = fcs_bytes(
            data,
            datatype="I",
            changes={
                "$BYTEORD": ",".join(map(str, order)),
                "$TIMESTEP": "1",
                **{f"$P{n}R": "4294967296" for n in (1, 2, 3, 4)},
            },
        )
        assert (decoded(save, content) == np.float32(0x01020304)).all()

    def test_bits_above_the_range_are_masked_to_the_next_power_of_two(self, save):
        # $PnR 1000 rounds up to 1024: 0xF3FF keeps its ten lower bits, 1023.
        widths = (16, 16, 16, 16)
        content = fcs_bytes(
            integers([[0xF3FF, 1, 2, 3]] * N_EVENTS, widths),
            datatype="I",
            bits=widths,
            changes={"$P1R": "1000"},
        )
        assert decoded(save, content)[0, 0] == 1023

    def test_a_range_of_the_full_width_keeps_all_bits(self, save):
        widths = (16, 16, 16, 16)
        content = fcs_bytes(
            integers([[65535, 1, 2, 3]] * N_EVENTS, widths),
            datatype="I",
            bits=widths,
            changes={"$P1R": "65536"},
        )
        assert decoded(save, content)[0, 0] == 65535

    @pytest.mark.parametrize("byteorder", ["little", "big"])
    def test_channels_of_8_16_24_and_64_bits_stand_side_by_side(self, save, byteorder):
        widths = (8, 16, 24, 64)
        rows = [[200, 40_000, 9_000_001, i] for i in range(N_EVENTS)]
        changes = {f"$P{n}R": str(2**width) for n, width in enumerate(widths, start=1)}
        changes |= {"$BYTEORD": "1,2,3,4" if byteorder == "little" else "4,3,2,1", "$TIMESTEP": "1"}
        content = fcs_bytes(
            integers(rows, widths, byteorder=byteorder), datatype="I", bits=widths, changes=changes
        )
        np.testing.assert_array_equal(decoded(save, content), np.array(rows, dtype=np.float32).T)

    def test_double_precision_is_read_and_handed_on_in_single(self, save):
        values = decoded(save, fcs_bytes(datatype="D", changes={"$TIMESTEP": "1"}))
        np.testing.assert_array_equal(values, np.array(ramp()).T)

    def test_fcs_3_2_may_give_each_channel_its_own_type(self, save):
        data = b"".join(struct.pack("<fIfd", 0.5, 7 + i, 2.5, i / 3) for i in range(N_EVENTS))
        changes = {"$P2DATATYPE": "I", "$P4DATATYPE": "D", "$P4B": "64", "$TIMESTEP": "1"}
        values = decoded(save, fcs_bytes(data, version="3.2", changes=changes))
        assert values[:, 1].tolist() == [0.5, 8.0, 2.5, np.float32(1 / 3)]

    def test_a_logarithmic_integer_is_made_linear(self, save):
        # FCS 3.1: 10^(decades × value / range) × value of 0 = 10^(4 × 512 / 1024) × 1 = 100
        widths = (16, 16, 16, 16)
        content = fcs_bytes(
            integers([[1, 512, 2, 3]] * N_EVENTS, widths),
            datatype="I",
            bits=widths,
            changes={"$P2E": "4,1", "$P2R": "1024"},
        )
        assert decoded(save, content)[1, 0] == pytest.approx(100.0)

    def test_a_logarithmic_scale_on_floating_point_is_ignored_with_a_warning(self, inspect, save):
        report = inspect(changes={"$P2E": "4,1"})
        assert codes(report) == ["SCALE_IGNORED"]
        assert decoded(save, fcs_bytes(changes={"$P2E": "4,1"}))[1, 3] == 301.0

    def test_the_gain_is_divided_out_but_never_of_the_time_channel(self, save):
        values = decoded(save, fcs_bytes(changes={"$P2G": "2.5", "$P4G": "100", "$TIMESTEP": "1"}))
        assert values[1, 3] == np.float32(301 / 2.5)
        assert values[3, 3] == 303.0

    def test_a_plain_keyword_never_overrides_its_dollar_twin(self, save):
        content = fcs_bytes(changes={"P2G": "50", "P2N": "OTHER", "TIMESTEP": "9", "P2B": "8"})
        path = save(content)
        report = inspect_fcs(path, today=TODAY)
        assert report.outcome is Outcome.OK
        assert header_of(report).names == NAMES
        assert read_events(path, header_of(report)).events.values[1, 3] == 301.0

    def test_events_that_are_not_finite_are_removed_and_counted(self, save):
        rows = np.array(ramp(), dtype="<f4")
        rows[5, 0], rows[9, 2] = np.nan, -np.inf
        path = save(fcs_bytes(rows.tobytes()))
        header = header_of(inspect_fcs(path, today=TODAY))
        result = read_events(path, header)
        assert (header.n_events, result.n_nonfinite, result.events.n_events) == (24, 2, 22)
        assert np.isfinite(result.events.values).all()
        assert [finding.code for finding in result.findings] == ["VALUES_NOT_FINITE"]

    def test_values_whose_sum_overflows_are_not_taken_for_infinite(self, save):
        rows = np.full((N_EVENTS, 4), 3e38, dtype="<f4")
        path = save(fcs_bytes(rows.tobytes()))
        assert read_events(path, header_of(inspect_fcs(path, today=TODAY))).n_nonfinite == 0

    def test_many_events_are_read_across_the_blocks_of_the_reader(self, save):
        n_events = 40_001  # 640 kB, several blocks and a remainder
        rows = np.arange(4 * n_events, dtype="<f4").reshape(n_events, 4)
        values = decoded(save, fcs_bytes(rows.tobytes(), n_events=n_events, changes={"$TIMESTEP": "1"}))
        np.testing.assert_array_equal(values, rows.T)

    def test_no_event_at_all_is_kept_as_a_tube_with_zero_events(self, inspect, save):
        report = inspect(b"", n_events=0)
        assert (report.outcome, codes(report)) == (Outcome.WARN, ["NO_EVENTS"])
        path = save(fcs_bytes(b"", n_events=0))
        assert read_events(path, header_of(report)).events.values.shape == (4, 0)

    def test_a_file_that_changes_after_the_check_is_an_error(self, save):
        path = save(fcs_bytes())
        header = header_of(inspect_fcs(path, today=TODAY))
        save(fcs_bytes(changes={"$P2G": "2.0", "$P1R": "409"}))  # other TEXT
        with pytest.raises(FcsError, match=r"tube\.fcs: the file changed after it was checked"):
            read_events(path, header)
        path.unlink()
        with pytest.raises(FcsError, match=r"FILE_MISSING file=tube\.fcs"):
            read_events(path, header)

    @pytest.mark.parametrize("seed", range(6))
    def test_flowio_reads_the_same_values(self, save, seed):
        flowio = pytest.importorskip("flowio")
        rng = np.random.default_rng(seed)
        names = [*(f"C{i}-A" for i in range(int(rng.integers(1, 9)))), "Time"]
        n_events = int(rng.integers(1, 200))
        rows = rng.normal(1000, 5000, (n_events, len(names))).astype(">f4")
        gains = {f"$P{n}G": f"{rng.uniform(0.1, 9):.3f}" for n in range(1, len(names))}
        path = save(
            fcs_bytes(
                rows.tobytes(), names=names, n_events=n_events, changes={"$BYTEORD": "4,3,2,1", **gains}
            )
        )
        expected = flowio.FlowData(str(path)).as_array().T.astype(np.float32)
        np.testing.assert_array_equal(read_events(path, header_of(inspect_fcs(path))).events.values, expected)


class TestText:
    @pytest.mark.parametrize("delimiter", list("|\\!?*+^()[]{}.#~@,-\t\r\x0c\x1e "))
    def test_any_sign_that_is_no_letter_or_digit_may_delimit(self, inspect, delimiter):
        doubled = {"$BYTEORD": "1,2,3,4".replace(delimiter, delimiter * 2), "$TIMESTEP": "1"}
        names = tuple(name.replace(delimiter, delimiter * 2) for name in NAMES)
        scales = {f"$P{n}E": "0,0".replace(delimiter, delimiter * 2) for n in (1, 2, 3, 4)}
        report = inspect(names=names, delimiter=delimiter, changes={**doubled, **scales})
        assert header_of(report).names == NAMES
        assert report.outcome is Outcome.OK, lines(report)

    @pytest.mark.parametrize("delimiter", ["A", "7", "$", "\0", "\x7f"])
    def test_a_letter_digit_dollar_or_non_text_byte_may_not_delimit(self, inspect, delimiter):
        report = inspect(delimiter=delimiter)
        assert report.outcome is Outcome.REJECT
        assert "TEXT delimiter" in lines(report)

    def test_a_doubled_delimiter_stands_for_one_in_the_value(self, inspect):
        report = inspect(changes={"$CYT": "LSR//II", "$P2S": "CD4//"})
        assert header_of(report).cytometer == "LSR/II"
        assert header_of(report).channels[1].label == "CD4/"
        assert report.outcome is Outcome.OK

    def test_an_empty_value_is_read_as_empty_where_only_that_gives_pairs(self, inspect):
        report = inspect(changes={"$P2S": ""})
        assert header_of(report).names == NAMES
        assert codes(report) == ["EMPTY_VALUE"]
        assert "$P2S" in lines(report)

    def test_a_delimiter_inside_a_value_is_refused_at_its_keyword(self, inspect):
        report = inspect(more="$CYT/LSR/II/$DATE/01-JAN-2024/")
        assert codes(report) == ["TEXT_PAIRS_SLIPPED"]
        assert "keyword=$CYT" in lines(report)

    def test_empty_and_doubled_delimiters_together_are_refused(self, inspect):
        report = inspect(changes={"$P2S": "", "$CYT": "LSR//II"})
        assert report.outcome is Outcome.REJECT

    def test_the_last_value_is_whole_although_no_delimiter_follows(self, save):
        content = fcs_bytes(more="$P2G/16")
        path = save(content)
        report = inspect_fcs(path, today=TODAY)
        assert codes(report) == ["TEXT_NOT_CLOSED"]
        assert read_events(path, header_of(report)).events.values[1, 4] == np.float32(401 / 16)

    def test_a_text_end_that_cuts_a_value_is_refused(self, save):
        content = fcs_bytes(more="$P2G/16/")
        end = int(content[18:26])
        cut = content[:18] + f"{end - 2:8d}".encode() + content[26:]  # TEXT ends after "$P2G/1"
        report = inspect_fcs(save(cut), today=TODAY)
        assert report.outcome is Outcome.REJECT
        assert "HEADER TEXT end" in lines(report)

    def test_one_keyword_with_two_values_is_refused_and_with_one_value_reported(self, inspect):
        assert codes(inspect(more="$TOT/25/")) == ["KEYWORD_CONFLICT"]
        assert codes(inspect(more="$tot/24/")) == ["KEYWORD_TWICE"]

    def test_blanks_around_a_keyword_do_not_hide_it(self, inspect):
        report = inspect(changes={"$TIMESTEP": None, "$TIMESTEP ": "0.02"})
        assert codes(report) == ["KEYWORD_PADDED"]
        assert header_of(report).timestep == 0.02

    def test_latin_1_is_read_and_reported(self, save):
        content = fcs_bytes(changes={"$P2S": "u"}).replace(b"$P2S/u/", b"$P2S/\xb5/")
        report = inspect_fcs(save(content), today=TODAY)
        assert codes(report) == ["NOT_UTF8"]
        assert header_of(report).channels[1].label == "µ"

    def test_supplemental_text_is_read(self, save):
        plain = fcs_bytes(changes={"$BEGINSTEXT": "00000000", "$ENDSTEXT": "00000000"}, tail=b"")
        supplement = b"/$P2S/CD25/$P2G/8/"
        begin, end = len(plain), len(plain) + len(supplement) - 1
        content = plain.replace(b"$BEGINSTEXT/00000000", b"$BEGINSTEXT/%08d" % begin)
        content = content.replace(b"$ENDSTEXT/00000000", b"$ENDSTEXT/%08d" % end) + supplement
        path = save(content)
        report = inspect_fcs(path, today=TODAY)
        assert report.outcome is Outcome.OK, lines(report)
        assert header_of(report).channels[1].label == "CD25"
        assert read_events(path, header_of(report)).events.values[1, 4] == np.float32(401 / 8)
        cut = inspect_fcs(save(content[:-3]), today=TODAY)
        assert "supplemental TEXT ends at byte" in lines(cut)


class TestContradictions:
    def test_all_faults_of_a_file_come_at_once(self, inspect):
        report = inspect(changes={"$DATATYPE": "Q", "$BYTEORD": "0,1,2,3", "$MODE": "C", "$TOT": "2_4"})
        assert set(codes(report)) == {
            "DATATYPE_UNSUPPORTED",
            "BYTEORD_INVALID",
            "MODE_UNSUPPORTED",
            "TOT_INVALID",
        }

    @pytest.mark.parametrize("total", ["23", "25", "0", "10000000000"])
    def test_a_total_that_does_not_fit_the_data_is_refused_with_both_numbers(self, inspect, total):
        report = inspect(changes={"$TOT": total})
        assert report.outcome is Outcome.REJECT
        assert total in lines(report)
        assert "24" in lines(report)

    @pytest.mark.parametrize(("par", "named"), [("5", "$P5N"), ("2", "$P3N"), ("2147483648", "$P5N")])
    def test_par_and_the_named_channels_must_agree(self, inspect, par, named):
        report = inspect(changes={"$PAR": par})
        assert report.outcome is Outcome.REJECT
        assert "keyword=$PAR" in lines(report)
        assert named in lines(report)

    def test_a_missing_name_in_the_middle_is_refused_by_its_keyword(self, inspect):
        assert "keyword=$P2N" in lines(inspect(changes={"$P2N": None}))

    @pytest.mark.parametrize("second", ["FL1-A", "FL1-A ", "TIME"])
    def test_two_channels_of_one_name_are_refused(self, inspect, second):
        assert inspect(changes={"$P3N": second}).outcome is Outcome.REJECT

    def test_the_offsets_that_fit_the_events_are_used_with_a_warning(self, inspect):
        for offsets in ((0, 0), (58, 99_999_999), (500, 800)):
            report = inspect(header_data=offsets)
            assert codes(report) == ["DATA_OFFSETS_DIFFER"], lines(report)

    def test_two_places_that_both_fit_are_a_matter_for_a_person(self, save):
        content = fcs_bytes(tail=b"")
        begin, end = int(content[26:34]), int(content[34:42])
        shifted = content[:26] + f"{begin + 384:8d}{end + 384:8d}".encode() + content[42:] + bytes(384)
        report = inspect_fcs(save(shifted), today=TODAY)
        assert codes(report) == ["DATA_PLACE_UNDECIDED"]

    def test_an_end_that_is_one_byte_too_far_is_corrected(self, save):
        content = fcs_bytes()
        end = int(content[34:42])
        path = save(
            content.replace(b"%08d" % end, b"%08d" % (end + 1)).replace(b"%8d" % end, b"%8d" % (end + 1))
        )
        report = inspect_fcs(path, today=TODAY)
        assert codes(report) == ["DATA_END_EXCLUSIVE"]
        assert read_events(path, header_of(report)).events.n_events == N_EVENTS

    def test_a_shift_by_one_value_is_refused_although_all_lengths_agree(self, save):
        content = fcs_bytes()
        begin, end = int(content[26:34]), int(content[34:42])
        for old, new in ((begin, begin + 4), (end, end + 4)):
            content = content.replace(b"%08d" % old, b"%08d" % new).replace(b"%8d" % old, b"%8d" % new)
        content = content[:begin] + b"\x01\x02\x03\x04" + content[begin + 4 :]
        assert "DATA_SHIFTED" in codes(inspect_fcs(save(content), today=TODAY))

    def test_data_that_begin_inside_text_are_refused(self, save):
        content = fcs_bytes()
        begin, end = int(content[26:34]), int(content[34:42])
        for old, new in ((begin, begin - 16), (end, end - 16)):
            content = content.replace(b"%08d" % old, b"%08d" % new).replace(b"%8d" % old, b"%8d" % new)
        report = inspect_fcs(save(content), today=TODAY)
        assert "SEGMENTS_OVERLAP" in codes(report)
        assert report.header is None

    @pytest.mark.parametrize("kept", [0, 5, 40, 57, 58, 200])
    def test_a_cut_file_is_refused_by_its_size(self, save, kept):
        report = inspect_fcs(save(fcs_bytes()[:kept]), today=TODAY)
        assert report.outcome is Outcome.REJECT
        assert "file size" in lines(report)

    def test_a_file_cut_in_its_data_says_where_data_should_end_and_where_the_file_does(self, save):
        content = fcs_bytes(tail=b"")
        report = inspect_fcs(save(content[:-10]), today=TODAY)
        assert f"DATA ends at byte {len(content) - 1} " in lines(report)
        assert f"file size is {len(content) - 10}" in lines(report)

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("$P2G", "-2"),
            ("$P2G", "nan"),
            ("$P2G", "inf"),
            ("$P2G", "2,5"),
            ("$P2G", "1e305"),
            ("$TIMESTEP", "0"),
            ("$TIMESTEP", "fast"),
            ("$TIMESTEP", "nan"),
            ("$TIMESTEP", "-1"),
            ("$P2B", "16"),
            ("$P2B", "abc"),
            ("$PAR", "six"),
            ("$TOT", "24.0"),
            ("$BYTEORD", "little"),
            ("$BYTEORD", "1,1,2,2"),
            ("$NEXTDATA", "-5"),
        ],
    )
    def test_a_number_that_would_change_the_data_is_refused_by_its_keyword(self, inspect, keyword, value):
        report = inspect(changes={keyword: value})
        assert report.outcome is Outcome.REJECT
        assert keyword in lines(report)

    @pytest.mark.parametrize("value", ["0", "-5", "NA", " ", "inf", "262,144", "1"])
    def test_integers_need_a_range_and_floating_point_does_not(self, inspect, value):
        widths = (32, 32, 32, 32)
        data = integers([[1, 2, 3, i] for i in range(N_EVENTS)], widths)
        assert inspect(data, datatype="I", changes={"$P2R": value}).outcome is Outcome.REJECT
        assert inspect(changes={"$P2R": value}).outcome in (Outcome.WARN, Outcome.OK)

    def test_packed_bits_are_refused_with_a_remedy(self, inspect):
        data = bytes(N_EVENTS * 4 * 10 // 8)
        report = inspect(data, datatype="I", bits=(10,) * 4)
        assert codes(report) == ["WIDTH_UNSUPPORTED"]
        assert "Remedy: Export the file as 16-bit" in lines(report)

    def test_a_second_data_set_is_refused_if_announced_and_reported_if_hidden(self, save):
        first = fcs_bytes(changes={"$NEXTDATA": "00000000"})
        told = first.replace(b"$NEXTDATA/00000000", b"$NEXTDATA/%08d" % len(first)) + fcs_bytes()
        report = inspect_fcs(save(told), today=TODAY)
        assert codes(report) == ["SEVERAL_DATA_SETS"]
        assert "holds 2 data sets" in lines(report)
        assert codes(inspect_fcs(save(first + fcs_bytes()), today=TODAY)) == ["SECOND_DATA_SET"]


class TestSpillover:
    GOOD = "2,FL1-A,FL2-A,1,0.1,0.02,1"

    def test_a_matrix_over_a_subset_of_channels_is_kept_in_its_own_order(self, inspect):
        matrix = header_of(inspect(changes={"$SPILLOVER": "2,FL2-A,FL1-A,1,0.02,0.1,1"})).spillover
        assert matrix is not None
        assert matrix.detectors == ("FL2-A", "FL1-A")
        assert matrix.values.tolist() == [[1.0, 0.02], [0.1, 1.0]]
        assert matrix.origin == "embedded"

    @pytest.mark.parametrize(
        "value",
        [
            "3,FL1-A,FL2-A,1,0,0,1",
            "2,FL1-A,XX-A,1,0,0,1",
            "2,FL1-A,FL1-A,1,0,0,1",
            "1000000000,FL1-A,1",
            "2,FL1-A,FL2-A,1,nan,0,1",
            "2,FL1-A,FL2-A,1,1,1,1",
            "2,FL1-A,FL2-A,100,1,2,100",
            "0",
            "-2,a,b,1,0,0,1",
            "matrix.csv",
            "/etc/passwd",
            "2;FL1-A;FL2-A;1;0;0;1",
            "2,FL1-A,FL2-A,1,0,0,0",
            "2,2,3,1,0,0,1",
        ],
    )
    def test_a_wrong_matrix_rejects_the_file_but_leaves_the_events_readable(self, inspect, value):
        report = inspect(delimiter="|", changes={"$SPILLOVER": value})
        assert report.outcome is Outcome.REJECT
        header = header_of(report)
        assert header.spillover is None
        assert [finding.outcome for finding in header.spillover_findings] == [Outcome.REJECT]
        assert "keyword=$SPILLOVER" in lines(report)

    def test_two_matrices_must_be_the_same_matrix(self, inspect):
        same = inspect(changes={"$SPILLOVER": self.GOOD, "SPILL": "2,FL2-A,FL1-A,1,0.02,0.1,1"})
        assert same.outcome is Outcome.OK, lines(same)
        other = inspect(changes={"$SPILLOVER": self.GOOD, "SPILL": "2,FL1-A,FL2-A,1,0,0,1"})
        assert codes(other) == ["SPILLOVER_CONFLICT"]

    @pytest.mark.parametrize(
        ("value", "code"),
        [
            ("2,FL1-A,FL2-A,1,0,0,1", "IDENTITY"),
            ("2,FL1-A,FL2-A,1,-0.1,0,1", "NEGATIVE"),
            ("2,FL1-A,FL2-A,1,1.4,0.1,1", "ABOVE_ONE"),
            ("2,FL1-A,FL2-A,1,0.1,0.1,0.9", "DIAGONAL"),
            ("2,FL1-A,FL2-A,\n1,0.1,0.1,1,", "SPELLING"),
            (" ", "BLANK"),
        ],
    )
    def test_an_odd_matrix_is_reported(self, inspect, value, code):
        report = inspect(changes={"$SPILLOVER": value})
        assert report.outcome is Outcome.WARN
        assert f"SPILLOVER_{code}" in codes(report)


class TestMetadata:
    @pytest.mark.parametrize(
        ("volume", "cytometer", "nanolitres"),
        [
            ("25016", "BD Accuri C6 Plus", 25016.0),
            ("30.35", "Aurora", 30350.0),
            ("2100", "Aurora", 2_100_000.0),
            ("60.5", "", 60500.0),
            ("0", "", None),
            ("x", "", None),
        ],
    )
    def test_a_volume_is_in_nanolitres_unless_number_or_cytometer_say_microlitres(
        self, inspect, volume, cytometer, nanolitres
    ):
        # FCS 3.1: $VOL in nL. Cytek's software writes µL: an Aurora tube of 30 µL has "30.35".
        report = inspect(changes={"$VOL": volume, "$CYT": cytometer or "unknown"})
        assert header_of(report).volume_nl == nanolitres
        assert report.outcome is (Outcome.OK if cytometer.startswith("BD") else Outcome.WARN)

    @pytest.mark.parametrize(
        ("value", "acquired", "outcome"),
        [
            ("05-mar-2024", "2024-03-05", "ok"),
            ("05-Mar-98", "1998-03-05", "ok"),
            ("2024-03-05", "2024-03-05", "warn"),
            ("05.03.2024", "", "warn"),
            ("31-FEB-2024", "", "warn"),
            ("01-JAN-2199", "2199-01-01", "warn"),
        ],
    )
    def test_dates_are_read_as_the_standard_has_them(self, inspect, value, acquired, outcome):
        report = inspect(changes={"$DATE": value})
        assert header_of(report).acquired == acquired
        assert report.outcome == outcome

    def test_no_value_of_a_keyword_that_may_name_a_person_leaves_the_reader(self, inspect):
        secrets = ["Doe, Jane", "1970-01-01", "jane@clinic.example", "Jane D. baseline", "../Jane Doe;rm.fcs"]
        keys = ["PATIENT NAME", "DOB", "$OP", "TUBE NAME", "$FIL"]
        report = inspect(delimiter="|", changes=dict(zip(keys, secrets, strict=True)))
        assert "IDENTITY_IN_KEYWORDS" in codes(report)
        everything = lines(report) + repr(report) + repr(dict(header_of(report).keywords))
        assert not [secret for secret in secrets if secret in everything]
        assert [header_of(report).keyword(key) for key in keys] == [""] * 5
        assert header_of(report).keyword("$tot") == "24"

    def test_a_slip_of_the_pairs_never_shows_a_patient_name_as_a_keyword(self, inspect):
        report = inspect(more="PATIENT NAME/DOE/JANE/")
        assert report.outcome is Outcome.REJECT
        assert "DOE" not in lines(report)
        assert "JANE" not in lines(report)

    def test_control_and_direction_characters_are_escaped(self, inspect):
        report = inspect(changes={"$CYT": "\x1b[31mred", "$P2S": "CD3\u202e4DC"})
        assert report.outcome is Outcome.WARN
        assert header_of(report).cytometer == "\\x1b[31mred"
        assert "\x1b" not in lines(report)
        assert "\u202e" not in lines(report)

    def test_a_long_value_is_shown_by_sixty_characters(self, inspect):
        report = inspect(changes={"$TOT": "9" * 5000})
        assert all(len(finding.seen) <= 60 for finding in report.findings)
        assert len(lines(report)) < 400


class TestPlausibility:
    def check(self, save: Callable[..., Path], rows: np.ndarray) -> list[str]:
        path = save(fcs_bytes(rows.astype("<f4").tobytes(), n_events=len(rows)))
        header = header_of(inspect_fcs(path, today=TODAY))
        return [finding.code for finding in check_events(read_events(path, header), header)]

    def test_ordinary_values_are_not_remarked_upon(self, save):
        assert self.check(save, np.array(ramp())) == []

    def test_a_tail_of_zeros_is_what_an_interrupted_copy_leaves(self, save):
        rows = np.array(ramp())
        rows[-6:] = 0
        assert self.check(save, rows) == ["TIME_NOT_ASCENDING", "ZEROS_AT_END"]

    def test_equal_events_saturation_and_values_above_the_range_are_reported(self, save):
        assert "EVENTS_EQUAL" in self.check(save, np.ones((N_EVENTS, 4)))
        rows = np.array(ramp())
        rows[:, 1] = 4095  # $P2R 4096
        assert "SATURATED" in self.check(save, rows)
        rows[:, 1] = 40_000
        assert "VALUES_ABOVE_RANGE" in self.check(save, rows)
        rows[:, 1] = 1e-42
        assert "VALUES_DENORMAL" in self.check(save, rows)

    def test_floating_point_read_in_the_wrong_byte_order_is_refused(self, save):
        rows = np.random.default_rng(1).normal(900, 300, (500, 4))
        content = fcs_bytes(rows.astype(">f4").tobytes(), n_events=500)  # $BYTEORD says little-endian
        report = examine_fcs(save(content), today=TODAY)
        assert "VALUES_ABSURD" in codes(report)
        assert report.header is None

    def test_three_events_are_too_few(self, save):
        assert self.check(save, np.array(ramp(3))) == ["FEW_EVENTS"]


class TestPaths:
    def test_folders_pipes_sockets_and_devices_are_never_opened(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.fcs")
        (tmp_path / "folder.fcs").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(tmp_path / "socket.fcs"))
            paths = [
                tmp_path / "pipe.fcs",
                tmp_path / "folder.fcs",
                tmp_path / "socket.fcs",
                Path("/dev/zero"),
            ]
            for path in paths:
                report = inspect_fcs(path)
                assert codes(report) == ["NOT_A_REGULAR_FILE"]

    def test_a_link_may_stay_in_the_data_folder_but_not_leave_it(self, tmp_path):
        root = tmp_path / "data"
        root.mkdir()
        (root / "good.fcs").write_bytes(fcs_bytes())
        (tmp_path / "outside.fcs").write_bytes(fcs_bytes())
        (root / "inside.fcs").symlink_to("good.fcs")
        (root / "leaves.fcs").symlink_to(tmp_path / "outside.fcs")
        assert inspect_fcs(root / "inside.fcs", root=root, today=TODAY).outcome is Outcome.OK
        assert codes(inspect_fcs(root / "leaves.fcs", root=root)) == ["PATH_LEAVES_ROOT"]
        assert codes(inspect_fcs(root / ".." / "outside.fcs", root=root)) == ["PATH_LEAVES_ROOT"]

    def test_missing_files_link_loops_and_impossible_names_are_findings(self, tmp_path):
        (tmp_path / "loop.fcs").symlink_to("loop.fcs")
        assert codes(inspect_fcs(tmp_path / "absent.fcs")) == ["FILE_MISSING"]
        assert codes(inspect_fcs(tmp_path / "loop.fcs")) == ["PATH_UNUSABLE"]
        assert codes(inspect_fcs(tmp_path / "a\0b.fcs")) == ["PATH_UNUSABLE"]
        assert codes(inspect_fcs(tmp_path / ("x" * 5000))) == ["PATH_UNUSABLE"]

    @pytest.mark.parametrize(
        ("begin", "kind"),
        [
            (b"\x1f\x8b\x08", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"%PDF-1.4", "PDF"),
            (b"<html>", "HTML"),
            (b"FSC-A,SSC-A\n1,2\n", "CSV"),
            (b"\nFCS3.1    ", "other bytes before"),
            (b"\x00\x01\xff", "no known format"),
        ],
    )
    def test_what_is_no_fcs_file_is_called_by_its_name(self, save, begin, kind):
        report = inspect_fcs(save(begin + bytes(100) if b"," not in begin else begin * 20))
        assert codes(report) == ["NOT_FCS"]
        assert kind in lines(report)

    def test_a_message_has_outcome_code_sample_file_keyword_fault_and_remedy(self, inspect):
        report = inspect(changes={"$TOT": "2_4"})
        line = finding_line(report.findings[0], file=report.file, sample_id="S1")
        assert line.startswith("REJECT TOT_INVALID sample=S1 file=tube.fcs keyword=$TOT='2_4': ")
        assert ", expected 0 or more. " in line
        assert line.endswith("Remedy: Export the file again from the instrument software.")
