"""Settings for every test."""

import hypothesis
import torch

# Machines that run tests are shared and slow now and then; a deadline would fail good code.
hypothesis.settings.register_profile("archflow", deadline=None)
hypothesis.settings.load_profile("archflow")

# Results are bit-identical on one thread only, and pytest-xdist already uses the other cores.
torch.set_num_threads(1)
