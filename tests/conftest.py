"""Settings for every test."""

import hypothesis

# Machines that run tests are shared and slow now and then; a deadline would fail good code.
hypothesis.settings.register_profile("archflow", deadline=None)
hypothesis.settings.load_profile("archflow")
