"""tinyptq: float Keras and TFLite models in, verified int8 firmware out. The verbs of the command line as functions.

    import tinyptq
    built = tinyptq.build(Path("model.keras"), board="cortex-m55", calibration="calibration.npz")
    built.report["arena_bytes"], tinyptq.profile(built.directory)["instructions"]
"""

from tinyptq.board import Board, board_names, load_board
from tinyptq.errors import TinyptqError
from tinyptq.inspection import Inspection, inspect
from tinyptq.ops import OPS
from tinyptq.pipeline import Built, build
from tinyptq.prove import Verification
from tinyptq.verbs import profile, simulate, verify
from tinyptq.version import VERSION

__version__ = VERSION

__all__ = [
    "OPS",
    "Board",
    "Built",
    "Inspection",
    "TinyptqError",
    "Verification",
    "__version__",
    "board_names",
    "build",
    "inspect",
    "load_board",
    "profile",
    "simulate",
    "verify",
]
