"""Skillsets for a Troupe node in Python: what a model can do, as one class.

A class derived from `Skillset` says what it is, loads a model and answers requests. `python -m troupe_skillset
module:Class` runs it for a node, which starts it as the manifest beside it says.
"""

from .cancel import Cancelled, CancelToken
from .errors import Code, SkillsetError
from .skillset import Batch, Batching, Device, Item, LinearCost, Metric, Option, Settings, Signature, Skillset, TensorSpec
from .tensor import Parameter, Request, Response, Tensor

__all__ = [
    "Batch",
    "Batching",
    "CancelToken",
    "Cancelled",
    "Code",
    "Device",
    "Item",
    "LinearCost",
    "Metric",
    "Option",
    "Parameter",
    "Request",
    "Response",
    "Settings",
    "Signature",
    "Skillset",
    "SkillsetError",
    "Tensor",
    "TensorSpec",
]
