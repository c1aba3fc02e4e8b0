"""Settings for every test."""

import signal

import hypothesis
import torch

# Machines that run tests are shared and slow now and then; a deadline would fail good code.
hypothesis.settings.register_profile("archflow", deadline=None)
hypothesis.settings.load_profile("archflow")

# Results are bit-identical on one thread only, and pytest-xdist already uses the other cores.
torch.set_num_threads(1)


def pytest_configure():
    """Hear Ctrl-C even where a shell started the tests in the background, as must what tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
