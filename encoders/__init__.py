"""Text and graph encoders: vectors for nodes."""

from .graph_encoder import GraphEncoder, GraphEncoderConfig
from .text import TextEncoder, TextEncoderConfig

__all__ = ["GraphEncoder", "GraphEncoderConfig", "TextEncoder", "TextEncoderConfig"]
