"""The oracle: a second, independent execution of what the archive says happened.

It shares nothing with the pipeline but solders and the written format of blocks; `docs/oracle.md` says what it can see.
"""

from oracle.errors import BadArchive, OracleError
from oracle.format import BadBlock, Block, Header
from oracle.replay import Replay, replay
from oracle.report import Divergence, Report
from oracle.source import FolderSource, Source

__all__ = [
    "BadArchive",
    "BadBlock",
    "Block",
    "Divergence",
    "FolderSource",
    "Header",
    "OracleError",
    "Replay",
    "Report",
    "Source",
    "replay",
]
