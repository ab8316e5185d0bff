"""What all tests share."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # a slow moment of the machine is no finding
settings.load_profile("shared machine")
