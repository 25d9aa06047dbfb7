"""Track2View: re-film a video along a new camera path, guided by paired 3D point tracks."""

__version__ = "0.2.0"
