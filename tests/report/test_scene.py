"""Pictures written as SVG: where things stand, which colours bins have, and that words stay words."""

from __future__ import annotations

import numpy as np
import pytest
from lxml import etree

from cytotrial.report.scene import Frame, Scene, log_density, shades

FRAME = Frame(10, 20, 100, 50, x_range=(0.0, 2.0), y_range=(-1.0, 1.0))


def parsed(scene: Scene) -> etree._Element:
    return etree.fromstring(scene.svg().encode())


def test_an_axis_across_runs_right_and_an_axis_up_runs_up():
    assert (FRAME.x(0.0), FRAME.x(2.0)) == (10, 110)
    assert (FRAME.y(-1.0), FRAME.y(1.0)) == (70, 20)
    assert FRAME.points([[1.0, 0.0]]) == [(60, 45)]


def test_a_tick_outside_the_axis_is_not_drawn():
    scene = Scene(200, 100)
    FRAME.x_ticks(scene, [(-0.1, "-0.1"), (1.0, "1"), (2.5, "2.5")])
    assert [element.text for element in parsed(scene).iter("{*}text")] == ["1"]


def test_words_are_text_whatever_they_hold():
    scene = Scene(10, 10)
    scene.text(1, 2, '<script>alert("&")</script>')
    (text,) = parsed(scene).iter("{*}text")
    assert text.text == '<script>alert("&")</script>'


def test_what_is_drawn_inside_a_frame_is_clipped_to_it():
    scene = Scene(200, 100)
    scene.inside(FRAME)
    scene.line([(0, 0), (200, 100)])
    scene.outside()
    scene.line([(1, 1), (2, 2)])
    root = parsed(scene)
    (group,) = root.iter("{*}g")
    (clip,) = root.iter("{*}clipPath")
    assert group.get("clip-path") == f"url(#{clip.get('id')})"
    assert [clip[0].get(side) for side in ("x", "y", "width", "height")] == ["10", "20", "100", "50"]
    assert len(group) == 1


def test_colours_run_from_the_lowest_value_to_the_highest_and_masked_bins_are_white():
    values = np.ma.masked_equal(np.array([[0.0, 1.0], [0.5, 9.0]]), 9.0)
    colours = shades(values, scheme="gray", lowest=0.0, highest=1.0)
    assert colours[0, 0].tolist() == [0, 0, 0]
    assert colours[0, 1].tolist() == [255, 255, 255]
    assert colours[1, 0].tolist() == [128, 128, 128]
    assert colours[1, 1].tolist() == [255, 255, 255]


def test_bins_without_an_event_are_white_and_others_are_not():
    counts = np.array([[0, 1], [10, 1000]])
    white = np.all(log_density(counts) == 255, axis=-1)
    assert white.tolist() == [[True, False], [False, False]]


def test_no_event_at_all_is_a_white_plot():
    assert log_density(np.zeros((3, 3), dtype=np.uint32)).min() == 255


def test_the_same_picture_has_the_same_bytes():
    def draw() -> str:
        scene = Scene(200, 100)
        FRAME.density(scene, log_density(np.arange(12).reshape(3, 4)))
        return scene.uri()

    assert draw() == draw()
    assert draw().startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(("value", "written"), [(1.0, "1"), (0.5, "0.5"), (1 / 3, "0.33")])
def test_numbers_are_written_to_a_hundredth_of_a_pixel(value: float, written: str):
    scene = Scene(10, 10)
    scene.box(value, 0, 1, 1, colour="#000")
    assert f'<rect x="{written}"' in scene.svg()
