"""Text and graph encoders: vectors for nodes."""

from .config import GraphEncoderConfig
from .graph_encoder import GraphEncoder
from .text import TextEncoder, TextEncoderConfig

__all__ = ["GraphEncoder", "GraphEncoderConfig", "TextEncoder", "TextEncoderConfig"]
