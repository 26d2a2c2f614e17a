"""Recurrent networks as plain NumPy loops, one example and one step at a time."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, state, w):
    (h,) = state
    return (np.tanh(x @ w["input"] + h @ w["recurrent"] + w["bias"]),)


def lstm(x, state, w):
    h, c = state
    i, f, o, g = np.split(x @ w["input"] + h @ w["recurrent"] + w["bias"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, state, w):
    (h,) = state
    (xr, xz, xh), (wr, wz, wh) = np.split(x @ w["input"] + w["bias"], 3), np.split(w["recurrent"], 3, 1)
    r, z = sigmoid(xr + h @ wr), sigmoid(xz + h @ wz)
    return (z * h + (1 - z) * np.tanh(xh + (r * h) @ wh),)


def gru_after(x, state, w):
    (h,) = state
    (xr, xz, xh), (wr, wz, wh) = np.split(x @ w["input"] + w["bias"], 3), np.split(w["recurrent"], 3, 1)
    r, z = sigmoid(xr + h @ wr), sigmoid(xz + h @ wz)
    return (z * h + (1 - z) * np.tanh(xh + r * (h @ wh + w["recurrent_bias"])),)


CELLS = {"rnn": rnn, "lstm": lstm, "gru": gru, "gru_after": gru_after}


def loop(cell, x, state, w, truncate=None, held=None):
    """Hidden sequence and final state of one example. `held` remembers the states at which the gradient is cut:
    it is filled by the first run, and read by the others, which may have other weights."""
    hidden, first = [], held is not None and not held
    for t, row in enumerate(x):
        if truncate and t and t % truncate == 0 and held is not None:
            if first:
                held[t] = state
            state = held[t]
        state = CELLS[cell](row, state, w)
        hidden.append(state[0])
    return np.stack(hidden), state


def network(cell, layers, head, inputs, lengths, readout, carry=None, truncate=None, held=None):
    """(batch, time, channels) -> list of predictions, one array per example, without its padding.

    layers: per layer, per direction, a dict of arrays. carry: per layer a tuple of (batch, hidden).
    """
    held = {} if held is None else held
    predictions = []
    for n, (sequence, length) in enumerate(zip(inputs, lengths, strict=True)):
        x = sequence[:length]
        for k, layer in enumerate(layers):
            outputs, finals = [], []
            for d, w in enumerate(layer):
                units = w["recurrent"].shape[0]
                state = (np.zeros(units),) * 2 if cell == "lstm" else (np.zeros(units),)
                if carry is not None:
                    state = tuple(part[n] for part in carry[k])
                cut = held.setdefault((n, k, d), {})
                out, final = loop(cell, x[::-1] if d else x, state, w, truncate, cut)
                outputs.append(out[::-1] if d else out)
                finals.append(final[0])
            x = np.concatenate(outputs, 1)
        read = {"last": np.concatenate(finals), "mean": x.mean(0), "per_step": x}[readout]
        predictions.append(read @ head["kernel"] + head["bias"])
    return predictions
