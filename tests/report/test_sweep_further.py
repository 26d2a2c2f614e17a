"""What only some sweeps show: surrogate and acquisition of a Bayesian search, both losses of few trials, colours."""

import dataclasses
import io
import json

import numpy as np
import pytest

from nnrun.report.sweep import charts, plot
from nnrun.report.sweep.page import page
from nnrun.report.sweep.pictures import figures
from nnrun.report.sweep.surrogate import surrogate, viewed
from nnrun.search.bayes import Bayes, BayesConfig
from nnrun.search.space import Categorical, Interval, Space, Steps
from nnrun.search.trial import Trial
from tests.report.sweep_records import record, trials_of

RATE = {"optimizer.learning_rate": Interval(1e-4, 1.0, log=True)}
PLANE = RATE | {"model.dropout": Interval(0.0, 0.8)}


def loss_at(params):
    """A valley at 10^-2.3 whatever the units are, and 0.3 of anything else."""
    others = sum(abs(value - 0.3) for key, value in params.items() if key not in RATE)
    return (np.log10(params["optimizer.learning_rate"]) + 2.3) ** 2 + 0.5 + others


def searched(space=RATE, count=14, direction="minimize", failing=(), waiting=0, **config):
    """A search as it goes on by itself, and its record."""
    sign = -1 if direction == "maximize" else 1
    config = BayesConfig(trials=count, initial_trials=5, **config)
    search, trials = Bayes(config, Space(space)), []
    for number in range(count):
        (params,) = search.ask(1)
        loss = None if number in failing else loss_at(params)
        trials.append(Trial(number, "failed" if loss is None else "completed", params, loss and sign * loss))
        search.tell(number, loss)
    trials += [Trial(count + i, "waiting", params) for i, params in enumerate(search.ask(waiting))]
    made = record(trials, space=space, direction=direction, bayes=dataclasses.asdict(config), curves={})
    return search, made


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_surrogate_passes_through_what_was_measured_and_is_sure_there(direction):
    search, made = searched(direction=direction)
    view = viewed(made)
    costs = np.array([loss_at(trial.params) for trial in made.scored])
    # What lies further away counts as bad, whatever it is.
    bound = np.median(costs) + 10 * (np.median(costs) - costs.min())
    assert (costs < bound).sum() > 6
    for trial in (trial for trial in made.scored if loss_at(trial.params) < bound):
        nearest = np.abs(view.grid[0] - search.encoding.encode([trial.params])[0, 0]).argmin()
        assert view.middle[nearest] == pytest.approx(trial.objective, abs=0.1)
    low, high = np.sort([view.low, view.high], axis=0)
    assert (low <= view.middle).all()
    assert (view.middle <= high).all()
    known = search.encoding.encode([trial.params for trial in made.scored])[:, 0]
    far = np.abs(view.grid[0][:, None] - known).min(1)
    width = high - low
    assert width[far < 0.003].mean() < 0.3 * width[far > 0.05].mean()


@pytest.mark.parametrize("acquisition", ["log_ei", "ei", "pi", "lcb"])
@pytest.mark.parametrize("waiting", [0, 2])
def test_the_acquisition_is_largest_where_the_search_goes_next(acquisition, waiting):
    search, made = searched(count=8, acquisition=acquisition, waiting=waiting)
    view, (params,) = viewed(made), search.ask(1)
    place = search.encoding.encode([params])[0]
    np.testing.assert_array_equal(view.next, place)
    assert view.acquisition[np.abs(view.grid[0] - place[0]).argmin()] > 0.9
    assert (view.acquisition.min(), view.acquisition.max()) == (0, 1)


def test_two_numbers_have_a_map_each_with_the_next_trial_at_its_top():
    search, made = searched(PLANE, failing=(2,))
    view, (params,) = viewed(made), search.ask(1)
    assert view.middle.shape == (61, 61)
    top = np.unravel_index(view.acquisition.argmax(), view.acquisition.shape)
    found = [along[i] for along, i in zip(view.grid, top, strict=True)]
    np.testing.assert_allclose(found, search.encoding.encode([params])[0], atol=0.02)
    first, second = surrogate(made)
    assert first.layout["xaxis"]["type"] == "log"
    assert (first.layout["xaxis"]["title"]["text"], first.layout["yaxis"]["title"]["text"]) == tuple(PLANE)
    surface, tried, best, failed, following = first.traces
    assert np.shape(surface["z"]) == (61, 61)
    # A row of z is a value of the second key.
    place = np.array([[10**-2.3, 0.3], [10**-2.3, 0.75]])
    rows = [np.abs(np.array(surface["y"]) - y).argmin() for _, y in place]
    column = np.abs(np.array(surface["x"]) - place[0, 0]).argmin()
    assert surface["z"][rows[0]][column] < surface["z"][rows[1]][column]
    assert [surface["reversescale"], second.traces[0]["reversescale"]] == [True, False]
    assert len(tried["x"]) == 13
    assert failed["x"] == plot.rounded([made.failed[0].params["optimizer.learning_rate"]])
    assert (best["x"], best["y"]) == (tried["x"][:1], tried["y"][:1])
    assert (following["x"][0], following["y"][0]) == pytest.approx(tuple(params.values()), rel=1e-4)


def test_listed_and_whole_numbers_have_a_place_each():
    whole = RATE | {"model.hidden_size": Interval(1, 5, integer=True)}
    view = viewed(searched(whole)[1])
    np.testing.assert_allclose(view.grid[1], [0.1, 0.3, 0.5, 0.7, 0.9])
    steps = {"optimizer.learning_rate": Steps(0.1, 0.1, 4)}
    search, made = searched(steps, count=4)
    assert not search.ask(1)
    assert viewed(made).next is None
    assert surrogate(made)[0].layout["xaxis"]["ticktext"] == ["0.1", "0.2", "0.3", "0.4"]
    assert "next trial" not in [trace.get("name") for chart in surrogate(made) for trace in chart.traces]


@pytest.mark.parametrize(
    "made",
    [
        record(trials_of(12)),
        record(trials_of(12), bayes=dataclasses.asdict(BayesConfig())),
        record([], space=RATE, bayes=dataclasses.asdict(BayesConfig())),
        searched(count=1)[1],
        searched(RATE | {"model.activation": Categorical((1, 2))})[1],
    ],
    ids=["no model", "six keys", "nothing tried", "one trial", "two values"],
)
def test_other_searches_have_none(made):
    assert surrogate(made) == []
    assert 'id="surrogate"' not in page(made)


@pytest.mark.parametrize("space", [RATE, PLANE])
def test_the_page_and_the_static_picture_show_it(space):
    from plotly.graph_objects import Figure

    made = searched(space)[1]
    text, picture = page(made), figures(made)["surrogate"]
    assert text.count('<section id="surrogate">') == text.count('<a href="#surrogate">') == 1
    assert text.count('id="chart-surrogate-') == 2
    for chart in json.loads(json.dumps(surrogate(made)).replace("@ink", "#123456")):
        Figure(*chart[:2])
    picture.savefig(io.BytesIO(), dpi=40)
    panels = picture.axes[:2]
    assert [axes.get_xlabel() for axes in panels] == ["optimizer.learning_rate"] * 2
    assert {axes.get_xscale() for axes in panels} == {"log"}
    if space is RATE:
        assert [axes.get_ylabel() for axes in panels] == ["val/loss", "acquisition"]
    else:
        assert [len(axes.collections) for axes in panels] == [1, 1]
        assert float(picture.axes[3].get_yticklabels()[-1].get_text()) == 1


def test_few_trials_have_both_losses_side_by_side():
    space = {"model.dropout": Categorical((0.0, 0.5))}
    trials = [Trial(i, "completed", {"model.dropout": i / 2}, 1.0 + i) for i in range(2)]
    losses = {"train/loss": {0: [2.0, 0.25], 1: [2.0, 1.0]}, "val/loss": {0: [1.5, 1.0], 1: [1.5, 1.25]}}
    made = record(trials, space=space, losses=losses)
    text, picture = page(made), figures(made)["train_and_val"]
    for i, (axes, chart) in enumerate(zip(picture.axes, charts.losses(made), strict=True)):
        (train, val), axis = chart.traces, chart.layout["yaxis"]
        assert [train["y"], val["y"]] == [losses["train/loss"][i], losses["val/loss"][i]]
        assert [line.get_label() for line in axes.lines] == ["training", "validation"]
        np.testing.assert_allclose(axes.get_ylim(), axis["range"])
    assert [axes.get_title("left") for axes in picture.axes] == ["dropout=0: gap 0.75", "dropout=0.5: gap 0.25"]
    assert (text.count('<section id="losses">'), text.count('id="chart-losses-')) == (1, 2)
    one_epoch = {name: {number: values[:1] for number, values in curves.items()} for name, curves in losses.items()}
    for others in (losses | {"train/loss": {}}, one_epoch, {}):
        without = record(trials, space=space, losses=others)
        assert "train_and_val" not in figures(without)
        assert 'id="losses"' not in page(without)


def test_colours_tell_choices_of_texts_apart():
    members = {"seed": Categorical((0, 1)), "model.activation": Categorical(("relu", "tanh"))}
    assert record([], space=members).hue == ("model.activation", ("relu", "tanh"))
    assert record([], space={"model.bias": Categorical((True, False)), "seed": Categorical((0, 1))}).hue[0] == "seed"
    assert record([], space={"model.activation": Categorical(tuple("abcdefg"))}).hue is None
