import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.text import Text
from plotly.offline import get_plotlyjs

from nnrun.report.palette import COLOURS
from nnrun.report.sweep.charts import MOST_CURVES
from nnrun.report.sweep.page import page
from nnrun.report.sweep.pictures import figures
from nnrun.report.sweep.plot import MOST_LISTED, marks, spread
from nnrun.report.sweep.scale import objective_scale, ticks
from nnrun.report.sweep.text import duration, listed, shown
from nnrun.search.points import Axis
from nnrun.search.space import Categorical, Interval, Steps
from nnrun.search.trial import Trial
from tests.report.sweep_records import SPACE, record, trials_of

SECTIONS = ["best-value", "parallel-coordinates", "importance", "hyperparameters", "learning-curves"]
SECTIONS += ["trials", "failures"]
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'


class Outline(HTMLParser):
    """What a browser would find beside the charts' library: sections, addresses, rows and elements."""

    def __init__(self, text):
        super().__init__()
        self.sections, self.addresses, self.rows, self.elements, self.scripts = [], [], 0, set(), []
        self.inside = None
        self.feed(text.replace(get_plotlyjs(), ""))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.elements.add(tag)
        self.inside = found.get("id") if tag == "script" else None
        self.rows += tag == "tr"
        if tag == "section":
            self.sections.append(found["id"])
        self.addresses += [value for name, value in attributes if name in ("src", "href", "action", "srcset")]
        assert not [name for name in found if name.startswith("on")]

    def handle_data(self, data):
        if self.inside == "data":
            self.scripts.append(data)

    @property
    def charts(self):
        return json.loads("".join(self.scripts))["charts"]


@pytest.fixture(scope="module")
def usual():
    return record(trials_of(40, failing=(3, 7)))


@pytest.fixture(scope="module")
def usual_page(usual):
    return page(usual)


def test_every_section_is_there_and_nothing_is_fetched(usual_page):
    outline = Outline(usual_page)
    assert outline.sections == SECTIONS
    assert all(address.startswith("#") or address == "data:," for address in outline.addresses)
    assert usual_page.count(get_plotlyjs()) == 1
    assert not re.search(r"@import|url\(", usual_page[: usual_page.index("</style>")])
    assert "default-src 'none'" in usual_page
    assert len(usual_page) < 6e6


def test_the_header_says_what_was_run_and_found(usual, usual_page):
    head = usual_page[: usual_page.index("<section")]
    assert usual.title in head
    assert usual.command in head
    assert shown(usual.ranked[0].objective) in head
    assert "38 of 40" in head
    assert '<code id="best">nnrun model=lstm</code>' in head


def test_plotly_knows_every_word_of_the_charts(usual_page):
    from plotly.graph_objects import Figure

    charts = Outline(re.sub("@[a-z]+", "#123456", usual_page)).charts
    assert len(charts) == 4 + len(SPACE.dimensions)
    for chart in charts.values():
        Figure(chart["data"], chart["layout"])


def test_a_logarithmic_interval_has_a_logarithmic_axis_and_choices_have_boxes(usual, usual_page):
    panels = {
        chart["layout"]["xaxis"]["title"]["text"]: chart
        for name, chart in Outline(usual_page).charts.items()
        if name.startswith("chart-key")
    }
    assert next(iter(panels)) == "optimizer.learning_rate"
    assert panels["optimizer.learning_rate"]["layout"]["xaxis"]["type"] == "log"
    assert "type" not in panels["model.gates"]["layout"]["xaxis"]
    sizes = panels["model.hidden_sizes"]
    assert sizes["layout"]["xaxis"]["ticktext"] == ["[64]", "[64, 32]", "null"]
    assert [trace["type"] for trace in sizes["data"]][:2] == ["box", "scatter"]
    box, values = sizes["data"][0], [t.objective for t in usual.scored if t.params["model.hidden_sizes"] == [64]]
    found = [box[name][box["x"].index(min(box["x"]))] for name in ("q1", "median", "q3")]
    np.testing.assert_allclose(found, np.quantile(values, (0.25, 0.5, 0.75)), rtol=1e-4)
    assert "20 trials without this key." in usual_page


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (0.0, 1.0, False, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (1e-4, 2e-3, True, ["0.0001", "0.0002", "0.0005", "0.001", "0.002"]),
        (0.03, 0.6, True, ["0.05", "0.1", "0.2", "0.5"]),
        (0.11, 0.19, True, ["0.12", "0.14", "0.16", "0.18"]),
        (1e-6, 1.0, True, ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1"]),
    ],
)
def test_ticks_are_whole_round_numbers(low, high, log, texts):
    found = ticks(low, high, log)
    assert list(found.values()) == texts
    np.testing.assert_allclose(list(found), [float(text) for text in texts])


def test_ticks_over_many_decades_are_few_powers():
    at = np.log10(list(ticks(1e-20, 1e20, log=True)))
    assert 5 <= len(at) <= 8
    np.testing.assert_allclose(at, at.round(), atol=1e-9)
    assert len(set(np.diff(at).round())) == 1


def test_ticks_reach_a_value_that_lies_beyond_the_axis():
    trials = [Trial(i, "completed", {}, loss) for i, loss in enumerate([*np.geomspace(0.1, 1, 20), 1e9])]
    axis = Outline(page(record(trials))).charts["chart-best"]["layout"]["yaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"][:4] == ["0.1", "0.2", "0.5", "1"]
    assert 1e8 <= axis["tickvals"][-1] <= 1e9
    assert axis["range"][1] < 1


def test_few_trials_and_epochs_are_counted_in_whole_numbers(usual_page):
    few, usual = Outline(page(record(trials_of(4)))).charts, Outline(usual_page).charts
    assert few["chart-best"]["layout"]["xaxis"]["dtick"] == 1
    assert few["chart-curves"]["layout"]["xaxis"]["dtick"] == 1
    assert "dtick" not in usual["chart-best"]["layout"]["xaxis"]


def test_a_few_numbers_lie_in_their_order():
    assert marks(Axis(Categorical((0.02, 1e30, 0.3)))) == {1 / 6: "0.02", 0.5: "0.3", 5 / 6: "1e+30"}


def test_many_listed_values_have_few_ticks_and_no_boxes():
    space = {"seed": Steps(0, 1, 30)}
    made = record((Trial(i, "completed", {"seed": i}, i + 1.0) for i in range(30)), space=space)
    chart = Outline(page(made)).charts["chart-key-0"]
    assert chart["layout"]["xaxis"]["ticktext"] == [str(seed) for seed in range(0, 30, 3)]
    assert len(chart["layout"]["xaxis"]["ticktext"]) <= MOST_LISTED
    assert {trace["type"] for trace in chart["data"]} == {"scatter"}


def test_whole_hyperparameters_have_whole_ticks():
    space = {"model.layers": Interval(1, 3, integer=True)}
    made = record((Trial(i, "completed", {"model.layers": i % 3 + 1}, i + 1.0) for i in range(12)), space=space)
    charts, picture = Outline(page(made)).charts, figures(made)["hyperparameters"]
    assert charts["chart-key-0"]["layout"]["xaxis"]["dtick"] == 1
    assert charts["chart-parallel"]["data"][0]["dimensions"][0]["ticktext"] == ["1", "2", "3"]
    assert {1, 2, 3} <= set(picture.axes[0].get_xticks()) <= {0, 1, 2, 3, 4}


def test_failed_trials_are_crosses_to_be_seen(usual_page):
    crosses = Outline(usual_page).charts["chart-best"]["data"][-1]
    assert crosses["x"] == [3, 7]
    assert crosses["marker"]["opacity"] == 1
    assert crosses["marker"]["size"] > 7


def test_the_best_curve_is_called_by_its_colour():
    """Orange among blue ones; with colours of models only thick."""
    space = {"optimizer.learning_rate": SPACE.dimensions["optimizer.learning_rate"]}
    blue, coloured = page(record(trials_of(4), space=space)), page(record(trials_of(4)))
    assert "the thick orange line is the best trial. The bluer another line, the better its trial’s rank." in blue
    assert Outline(blue).charts["chart-curves"]["data"][-1]["line"] == {"color": COLOURS[1], "width": 3}
    assert "the thick line is the best trial." in coloured
    assert "The bluer another" not in coloured


def test_the_same_record_gives_the_same_page(usual, usual_page):
    assert page(record(trials_of(40, failing=(3, 7)))) == usual_page


def test_texts_of_the_user_are_escaped_everywhere():
    space = {f"model.{EVIL}": Categorical((EVIL, "b")), "model": Categorical((EVIL, "x"))}
    params = {f"model.{EVIL}": EVIL, "model": EVIL}
    trials = [Trial(i, "completed", params, float(i), {f"val/{EVIL}": 0.5}) for i in range(12)]
    trials.append(Trial(12, "failed", params, error=f"{EVIL}\n{EVIL}"))
    names = dict.fromkeys(("title", "command", "metric", "best_command"), EVIL)
    text = page(record(trials, space=space, **names))
    assert "<script>alert" not in text
    outline = Outline(text)
    assert "img" not in outline.elements
    assert outline.sections == SECTIONS
    ticks = outline.charts["chart-key-0"]["layout"]["xaxis"]["ticktext"]
    assert all("<" not in tick for tick in ticks)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "There are no trials yet."),
        ([Trial(0, "running", {"model": "rnn"}), Trial(1, "waiting", {})], "No trial has completed"),
        (list(trials_of(3, failing=range(3))), "3 trials failed."),
        (list(trials_of(1)), "there are 1 completed."),
        ([Trial(i, "completed", {"model": "rnn"}, 1.0) for i in range(12)], "whose objectives differ"),
        ([Trial(0, "completed", {}, math.nan), Trial(1, "completed", {}, math.inf)], "No trial has completed"),
        ([Trial(0, "pruned", {"model": "rnn"}, 0.5), *trials_of(2)][::-1], "pruned"),
    ],
)
def test_there_is_a_page_whatever_became_of_the_trials(trials, said):
    made = record(trials, best_command="")
    text = page(made)
    outline = Outline(text)
    assert outline.sections == SECTIONS
    assert said in text
    assert ("chart-best" in outline.charts) == bool(made.scored) == ("best_value" in figures(made))


def test_curves_with_gaps_and_without_values():
    curves = {0: [math.nan, 0.5, math.inf, 0.25], 1: [], 2: [math.nan]}
    [*traces] = Outline(page(record(trials_of(4), curves=curves))).charts["chart-curves"]["data"]
    assert sorted(trace["y"] for trace in traces if len(trace["y"]) > 1) == [[None, 0.5, None, 0.25]]
    assert "No learning curves are recorded." in page(record(trials_of(4), curves={0: [math.nan]}))


def test_long_curves_keep_their_last_epoch():
    curves = {0: [float(i) for i in range(1001)]}
    [trace] = Outline(page(record(trials_of(1), curves=curves))).charts["chart-curves"]["data"]
    assert len(trace["y"]) <= 300
    assert trace["y"][-1] == 1000
    assert trace["x0"] + trace["dx"] * (len(trace["y"]) - 1) == 1001


def test_a_large_sweep_stays_a_page():
    many = record(trials_of(1500, failing=range(0, 1500, 50)))
    text = page(many)
    outline = Outline(text)
    assert outline.rows == 1 + 1500 + 2
    assert len(outline.charts["chart-curves"]["data"]) <= MOST_CURVES + 20
    assert "curves are drawn: the best, the worst and an even choice of ranks." in text
    assert len(text) < 8e6


def test_a_spread_holds_the_best_and_the_worst():
    chosen = spread(range(1000), 200)
    assert chosen[:50] == list(range(50))
    assert chosen[-1] == 999
    assert len(set(chosen)) == 200
    assert spread(range(3), 200) == [0, 1, 2]


def test_the_table_lists_the_best_first_and_failed_trials_last(usual, usual_page):
    body = usual_page[usual_page.index('id="all-trials"') : usual_page.index("</table>")]
    numbers = [int(number) for number in re.findall(r'<tr(?: class="failed")?><td class=n>(\d+)<', body)]
    assert numbers == [t.number for t in usual.ranked] + [3, 7]


def test_failures_that_differ_in_numbers_only_are_one_reason(usual_page):
    failures = usual_page[usual_page.index('<section id="failures"') : usual_page.index("</main>")]
    assert "the loss became NaN in epoch 3" in failures
    assert "the loss became NaN in epoch 7" not in failures
    assert '<td class="numbers">3, 7' in failures


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_one_diverged_trial_does_not_hide_the_others(direction):
    sign = -1 if direction == "maximize" else 1
    scale = objective_scale([sign * value for value in [*np.linspace(0, 1, 20), 1e9]], direction)
    assert scale.beyond == 1
    assert -1.6 < scale.low < scale.high < 1.6
    assert np.all(np.abs(scale.places([sign * 1e9])) <= 1.6)


def test_a_scale_of_losses_over_decades_is_logarithmic_and_one_value_has_room():
    assert objective_scale([1e-3, 1.0], "minimize").log
    assert not objective_scale([1e-3, 1.0], "maximize").log
    assert not objective_scale([0.0, 1.0], "minimize").log
    for value in (0.0, 0.5, -3.0):
        scale = objective_scale([value], "minimize")
        assert scale.low < value < scale.high


def test_static_pictures_show_the_charts_of_the_page(usual, usual_page, tmp_path):
    pictures, charts = figures(usual), Outline(usual_page).charts
    assert list(pictures) == ["best_value", "hyperparameters", "importance", "learning_curves"]
    for name, picture in pictures.items():
        picture.savefig(tmp_path / f"{name}.png", dpi=40)
    panels = pictures["hyperparameters"].axes
    assert panels[0].get_xlabel() == "optimizer.learning_rate"
    assert panels[0].get_xscale() == "log"
    for name, key in (("best_value", "best"), ("hyperparameters", "key-0"), ("learning_curves", "curves")):
        drawn, chart = pictures[name].axes[0].lines, charts[f"chart-{key}"]
        assert len(drawn) == len(chart["data"])
        for line, trace in zip(drawn, chart["data"], strict=True):
            np.testing.assert_array_equal(np.asarray(line.get_ydata(), float), np.array(trace["y"], float))
            if "x" in trace:
                np.testing.assert_array_equal(line.get_xdata(), trace["x"])
        axis = chart["layout"]["yaxis"]
        ends = np.array(axis["range"])
        np.testing.assert_allclose(pictures[name].axes[0].get_ylim(), 10**ends if axis.get("type") == "log" else ends)
    (bars,) = charts["chart-importance"]["data"]
    assert [bar.get_width() for bar in pictures["importance"].axes[0].patches] == bars["x"]
    texts = [text.get_text() for text in pictures["importance"].axes[0].texts]
    assert texts == bars["text"]


def test_boxes_of_a_static_picture_have_the_quartiles_of_the_page(usual, usual_page):
    panel = next(axes for axes in figures(usual)["hyperparameters"].axes if axes.get_xlabel() == "model.hidden_sizes")
    box = next(
        chart["data"][0]
        for chart in Outline(usual_page).charts.values()
        if chart["layout"].get("xaxis", {}).get("title", {}).get("text") == "model.hidden_sizes"
    )
    assert [text.get_text() for text in panel.get_xticklabels()] == ["[64]", "[64, 32]", "null"]
    drawn = [sorted({float(y) for y in line.get_ydata()}) for line in panel.lines if len(line.get_xdata()) == 5]
    assert drawn == [[low, high] for low, high in zip(box["q1"], box["q3"], strict=True)]


def test_a_legend_of_static_pictures_names_the_choices_that_colours_stand_for(usual):
    def legend_of(picture):
        (legend,) = picture.legends
        handles = zip(legend.get_texts(), legend.legend_handles, strict=True)
        return {text.get_text(): handle.get_color() for text, handle in handles}

    pictures = figures(usual)
    choices = {"model=rnn": COLOURS[0], "model=lstm": COLOURS[1]}
    for name in ("best_value", "hyperparameters", "learning_curves"):
        assert choices.items() <= legend_of(pictures[name]).items()
    assert list(legend_of(pictures["best_value"])) == [*choices, "best", "best so far", "failed"]
    space = {key: SPACE.dimensions[key] for key in SPACE.dimensions if key != "model"}
    plain = figures(record(trials_of(12), space=space))
    assert list(legend_of(plain["best_value"])) == ["best", "best so far"]
    assert legend_of(plain["learning_curves"]) == {"best": COLOURS[1]}


def test_a_picture_of_one_panel_has_room_for_its_title_beside_the_legend():
    space = {"model": SPACE.dimensions["model"]}
    made = record(trials_of(12), space=space, title="random search: rnn, lstm on " + 60 * "x")
    picture = figures(made)["hyperparameters"]
    picture.canvas.draw()
    title, legend = picture.texts[0].get_window_extent(), picture.legends[0].get_window_extent()
    assert title.x0 >= 0
    assert title.x1 <= picture.bbox.x1
    assert not title.overlaps(legend)


def test_static_pictures_of_one_trial_and_odd_texts(tmp_path):
    made = record(trials_of(1), title="a $x_ title", metric="val/$loss")
    for name, picture in figures(made).items():
        picture.savefig(tmp_path / f"{name}.png", dpi=40)
        words = [text.get_text() for text in picture.findobj(Text)]
        assert any("a $x_ title" in word.replace("\\$", "$") for word in words), (name, words)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (12345.6, "12346"),
        (1e-5, "1e-05"),
        (1000, "1000"),
        (2.0, "2"),
        (None, "null"),
        (True, "true"),
        ([64, (1.0, None)], "[64, [1, null]]"),
        ({"a": 0.5}, "{a: 0.5}"),
        ("relu", "relu"),
        (math.nan, "nan"),
    ],
)
def test_values_are_shown_as_typed(value, text):
    assert shown(value) == text


def test_counts_and_times_are_readable():
    assert duration(0.1234) == "0.123 s"
    assert duration(200) == "3 min 20 s"
    assert duration(7500) == "2 h 5 min"
    assert listed(range(4)) == "0, 1, 2, 3"
    assert listed(range(25), most=3) == "0, 1, 2 and 22 more"
