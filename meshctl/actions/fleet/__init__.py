"""Several clusters at once: installed, looked at and removed side by side, each in its turn."""
