"""A rotation of the authorities of a mesh: a recorded story, proven stage by stage."""
