"""The threads of xent beside those of Python."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import xent

RNG = np.random.default_rng(30)
X = RNG.normal(0, 3, (4000, 100)).astype(np.float32)
LABELS = RNG.integers(0, 100, 4000)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = xent.get_num_threads()
    yield
    xent.set_num_threads(before)


def results():
    """The numbers of every function that uses threads, as bytes."""
    dense = np.abs(X[:, ::-1]) / 20
    arrays = []
    for name, targets in [("softmax_cross_entropy", LABELS), ("softmax_cross_entropy", dense), ("distillation", dense),
                          ("sigmoid_cross_entropy", X > 0), ("negative_log_likelihood", LABELS)]:
        for logits in (X, np.asfortranarray(X)):
            loss, grad = xent.value_and_grad(name, logits, targets)
            losses = xent.evaluate(name, logits, targets, losses=True).losses
            arrays += [np.float64(loss), np.ascontiguousarray(grad), losses]
    arrays += [xent.softmax(X), xent.log_softmax(X), xent.log_sum_exp(X)]
    loss, grads = xent.linear_cross_entropy(X, X[:50], LABELS % 50, grad=True)
    arrays += [np.float64(loss), grads[0], grads[1]]
    return [array.tobytes() for array in arrays]


def test_results_do_not_depend_on_the_number_of_threads():
    expected = None
    for threads in (1, 2, 3):
        xent.set_num_threads(threads)
        assert xent.get_num_threads() == threads
        found = results()
        expected = found if expected is None else expected
        assert found == expected


@pytest.mark.parametrize("wrong", [0, -1, 1025, 2**31, 2**70, -(2**70)])
def test_numbers_of_threads_that_are_refused(wrong):
    before = xent.get_num_threads()
    with pytest.raises(ValueError, match="^threads: "):
        xent.set_num_threads(wrong)
    assert xent.get_num_threads() == before


@pytest.mark.parametrize("wrong", [None, 1.5, "2", [2]])
def test_what_is_no_number_of_threads(wrong):
    with pytest.raises(TypeError, match="^threads: "):
        xent.set_num_threads(wrong)


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: xent.value_and_grad("softmax_cross_entropy", x, np.zeros(len(x), np.int64)),
        lambda x: xent.softmax(x),
        lambda x: xent.linear_cross_entropy(x[:2000], x[:1000], np.zeros(2000, np.int64)),
    ],
    ids=["loss", "softmax", "linear"],
)
def test_other_threads_of_python_run_meanwhile(compute):
    """While a call computes, another thread gets the interpreter.

    It can only be a call that lets it go: a thread that waits for the interpreter asks for it after 100 seconds here.
    """
    x = np.random.default_rng(0).normal(0, 1, (20000, 500)).astype(np.float32)
    done = threading.Event()
    counted = [0]

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0.0002)

    interval = sys.getswitchinterval()
    counter = threading.Thread(target=count)
    within = 0
    sys.setswitchinterval(100)
    try:
        counter.start()
        for _ in range(50):
            before = counted[0]
            compute(x)
            within += counted[0] - before
            if within >= 3:
                break
            time.sleep(0)
    finally:
        done.set()
        sys.setswitchinterval(interval)
        counter.join()
    assert within >= 3


def test_calls_of_many_threads_at_a_time():
    expected = results()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: results(), range(8)):
            assert found == expected


def test_threads_that_are_set_while_others_compute():
    expected = xent.value_and_grad("softmax_cross_entropy", X, LABELS)
    stop = threading.Event()

    def change():
        threads = 1
        while not stop.is_set():
            threads = threads % 3 + 1
            xent.set_num_threads(threads)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(50):
            loss, grad = xent.value_and_grad("softmax_cross_entropy", X, LABELS)
            assert loss == expected[0]
            assert grad.tobytes() == expected[1].tobytes()
    finally:
        stop.set()
        changer.join()


FORK = """
import os, sys, threading
import numpy as np, xent

x = np.random.default_rng(0).normal(0, 1, (4000, 100)).astype(np.float32)
y = np.zeros(4000, np.int64)
if sys.argv[1] == "set":
    xent.set_num_threads(3)
if sys.argv[1] != "unused":
    expected = xent.softmax_cross_entropy(x, y)
threads = xent.get_num_threads() if sys.argv[1] != "unused" else None
stop = threading.Event()
if sys.argv[1] == "busy":
    def compute():
        while not stop.is_set():
            xent.softmax_cross_entropy(x, y)
    computing = threading.Thread(target=compute)
    computing.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        found = xent.softmax_cross_entropy(x, y), xent.get_num_threads()
        xent.linear_cross_entropy(x, x[:50], y)
        xent.softmax(x)
        # Batches that are too small for threads, by rows and by classes.
        for rows, classes in ((16383, 1), (8191, 2), (1, 16383), (4, 10)):
            part, dense = x.ravel()[: rows * classes].reshape(rows, classes), np.ones((rows, classes))
            at = np.zeros(rows, np.int64)
            for name, targets in (("softmax_cross_entropy", at), ("softmax_cross_entropy", dense), ("distillation", dense),
                                  ("sigmoid_cross_entropy", dense), ("negative_log_likelihood", at)):
                xent.evaluate(name, part, targets, grad=True, losses=True, sample_weights=np.ones(rows))
            xent.softmax(part)
            xent.log_sum_exp(part)
        xent.linear_cross_entropy(x[:2], x[:70], y[:2], grad=True)
        # And a process that the child forks.
        grandchild = os.fork()
        if grandchild == 0:
            os._exit(xent.softmax_cross_entropy(x, y) != found[0])
        right = os.waitpid(grandchild, 0)[1] == 0
        if threads is not None:
            right = right and found == (expected, threads)
        os._exit(0 if right else 3)
    if os.waitpid(child, 0)[1] != 0:
        stop.set()
        sys.exit("a child has failed")
stop.set()
if sys.argv[1] != "unused":
    assert xent.softmax_cross_entropy(x, y) == expected
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("parent", ["unused", "used", "set", "busy"])
def test_forked_processes(parent):
    """A child has none of its parent's threads: it would wait for them for ever. What takes a second has a minute."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, parent]
    subprocess.run(command, check=True, timeout=60)
