"""Real files of many cytometers: the values of FlowIO; odd formats read right or refused with a reason."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.fcs import FcsHeader, examine_fcs, finding_line, inspect_fcs, read_events

flowio = pytest.importorskip("flowio")

REAL = (
    "cytoexplorer_mouse_activation/samples/Activation_1.fcs",  # BD LSR II, float, big-endian
    "cytoexplorer_mouse_activation/compensation_controls/Compensation-PE.fcs",
    "flowatlas_treg_foxp3/390C_Lung_029.fcs",  # FlowJo export
    "flowatlas_treg_foxp3/403C_Donor_unst_021_raw_unstained.fcs",  # FACSDiva, form feed as delimiter
    "calibur_fcs2_itn_cd25/1128315140.001_CD4_CD25_CD3_CD45RA.fcs",  # FCS 2.0, logarithmic integers
    "flowcore_calibur_compensation/060909.001",
    "flowkit_aria_tcell_fcs2/100715.fcs",
    "cytof_il17_stim_pbmc/130515_C2_stim_CD19-.fcs",  # mass cytometry
    "volumetric_counts_aurora5L/CellCounts5L_AB_01-ND050-01.fcs",  # spectral, $VOL in microlitres
    "odd_formats/accuri_c6plus_vol25016.fcs",  # 32-bit integers, supplemental TEXT is TEXT itself
    "odd_formats/attune_nxt_vol46000_utf8_names.fcs",
    "odd_formats/bitmask_pnr_not_power_of_2.lmd",
    "odd_formats/cyflow_cube8.fcs",  # 8, 16 and 32 bits mixed, a zip as supplemental TEXT
    "odd_formats/facscalibur_hts.fcs",
    "odd_formats/fortessa_pbs_blank.fcs",
    "odd_formats/miltenyi_fcs2.0.fcs",
    "odd_formats/miltenyi_fcs3.1_duplicate_names.fcs",  # DATA's end one too far
)


def read(path: Path) -> tuple[FcsHeader, np.ndarray]:
    report = examine_fcs(path)
    assert report.header is not None, "\n".join(finding_line(f, file=report.file) for f in report.findings)
    return report.header, read_events(path, report.header).events.values


@pytest.mark.parametrize("file", REAL)
def test_events_and_names_equal_those_of_flowio(shared, file):
    path = shared / "data" / file
    header, values = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = flowio.FlowData(str(path), ignore_offset_error=True)
    assert header.names == tuple(other.pnn_labels)
    np.testing.assert_array_equal(values, other.as_array(preprocess=True).T.astype(values.dtype))


def odd_formats(shared: Path) -> dict[str, dict[str, str]]:
    folder = shared / "data" / "odd_formats"
    with (folder / "expected_behaviour.csv").open(encoding="utf-8", newline="") as table:
        return {row["file"]: row for row in csv.DictReader(table)}


def test_each_odd_format_is_read_with_the_stated_number_of_events_or_refused_with_a_reason(shared):
    for name, row in odd_formats(shared).items():
        report = inspect_fcs(shared / "data" / "odd_formats" / name)
        if report.header is None:
            assert report.outcome == "reject", name
        elif row["tot"].strip():
            assert report.header.n_events == int(row["tot"]), name
            assert report.header.datatype == row["datatype"], name


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("corrupted_10bytes.fcs", "NOT_FCS"),
        ("not_an_fcs_file.fcs", "NOT_FCS"),
        ("cytek_nl2000_truncated_header_only.fcs", "TRUNCATED"),
        ("coulter_multi_dataset_nextdata.lmd", "SEVERAL_DATA_SETS"),
        ("fcs2_9bit_packed_931115-B02.fcs", "WIDTH_UNSUPPORTED"),
        ("labkey_fake_2_0_garbage_data.fcs", "VALUES_ABSURD"),
        ("missing_PnR_keyword.fcs", "NAME_MISSING"),
    ],
)
def test_only_what_cannot_be_read_right_is_refused(shared, name, code):
    report = examine_fcs(shared / "data" / "odd_formats" / name)
    assert report.header is None
    assert code in [finding.code for finding in report.findings]


def test_a_label_without_text_does_not_swallow_the_next_channel(shared):
    # FACSCalibur with empty $P3S: FlowIO joins keywords over the empty value and finds 7 of 8 names.
    path = shared / "data/flowcore_384well_fcs3/0877408774.B08"
    header, values = read(path)
    assert header.names == ("FSC-H", "SSC-H", "FL1-H", "FL2-H", "FL3-H", "FL1-A", "FL4-H", "Time")
    stored = flowio.FlowData(str(path)).as_array(preprocess=False).T
    assert header.columns[2].decades == 4
    # $P3E 4,1 and $P3R 1024 make stored 512 to 100 (10^(4 × 512 / 1024))
    np.testing.assert_allclose(values[2], 10 ** (4 * stored[2] / 1024), rtol=1e-6)


def test_integers_of_24_bits_are_read_as_their_three_bytes_say(shared):
    path = shared / "data/odd_formats/flowcal_24bit_integer.fcs"
    header, values = read(path)
    raw = path.read_bytes()[header.data_begin :]
    row_bytes = header.data_bytes // header.n_events
    for event in (0, 7, 24_999):
        row = raw[event * row_bytes : (event + 1) * row_bytes]
        for channel, column in enumerate(header.columns):
            stored = int.from_bytes(row[3 * channel : 3 * channel + 3], "big") & (column.mask or 0xFFFFFF)
            scaled = stored * 0.1 if channel == header.time_index else stored / column.gain
            if not column.decades:
                assert values[channel, event] == pytest.approx(scaled, rel=1e-15)


def test_wrong_offsets_in_header_or_text_lead_to_the_same_events(shared):
    folder = shared / "data" / "odd_formats"
    _, expected = read_spite_of_matrix(folder / "variable_int_example.fcs")
    for name in ("data_start_offset_discrepancy_example.fcs", "data_stop_offset_discrepancy_example.fcs"):
        header, values = read_spite_of_matrix(folder / name)
        assert header.data_begin == 6081
        assert values.shape == expected.shape


def read_spite_of_matrix(path: Path) -> tuple[FcsHeader, np.ndarray]:
    report = inspect_fcs(path)
    assert report.header is not None
    return report.header, read_events(path, report.header).events.values


def test_the_acquired_volume_of_four_makers_is_in_nanolitres(shared):
    volumes = {
        "odd_formats/accuri_c6plus_vol25016.fcs": 25016.0,
        "odd_formats/attune_nxt_vol46000_utf8_names.fcs": 46000.0,
        "odd_formats/cyflow_cube8.fcs": 99000.0,
        "volumetric_counts_aurora5L/CellCounts5L_AB_01-ND050-01.fcs": 30590.0,  # written as 30.59, in µL
    }
    for file, nanolitres in volumes.items():
        assert read(shared / "data" / file)[0].volume_nl == nanolitres
