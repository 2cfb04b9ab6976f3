"""Whether a component's config describes the weights beside it, found out without loading them."""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import nn

from perfsuite.checkpoints.files import read_shapes
from perfsuite.checkpoints.layout import Component
from perfsuite.errors import CheckpointError, head_of
from perfsuite.libraries import quiet_loading

_HINT = "copy config.json and weights of one and the same model"


def class_of(component: Component) -> Any:
    """The class that a component is loaded with."""
    return getattr(importlib.import_module(component.library), component.class_name)


def check_architecture(component: Component) -> None:
    """Build a component without memory for its weights, and hold it against their headers.

    Names are not compared, since the libraries rename tensors of older checkpoints as they load.

    Raises:
        CheckpointError: the config makes no model, one of other shapes, or a larger one.
    """
    config, shapes = component.config(), read_shapes(component.weights())
    if any(each > len(shapes) for each in _layer_counts(config)):
        raise _error(component, "asks for more layers than the weights beside it hold tensors")
    model = outline_model(component)
    for name, tensor in model.state_dict().items():
        if name in shapes and tuple(tensor.shape) != shapes[name]:
            there = f"{list(tensor.shape)}, and the weights beside it hold {list(shapes[name])}"
            raise _error(component, f"makes {name} {there}")
    needed = sum(each.numel() for each in model.parameters())
    held = sum(map(math.prod, shapes.values()))
    if held < needed:
        raise _error(component, f"asks for {needed} weights, and the files beside it hold {held}")


def _error(component: Component, problem: str) -> CheckpointError:
    return CheckpointError(f"{component.folder / 'config.json'} {problem}", hint=_HINT)


def outline_model(component: Component) -> nn.Module:
    """A component of its config alone, on the meta device.

    Raises:
        CheckpointError: the config makes no model.
    """
    config = component.config()
    try:
        made = class_of(component)
        with quiet_loading(), torch.device("meta"):
            if component.library == "diffusers":
                return made.from_config(config)  # type: ignore[no-any-return]
            return made(made.config_class.from_dict(config))  # type: ignore[no-any-return]
    except Exception as error:
        problem = f"makes no {component.class_name} ({head_of(error)})"
        raise _error(component, problem) from error


def _layer_counts(config: dict[str, Any]) -> list[int]:
    """Every number that a model is built in a loop of."""
    found = []
    waiting = [value for key, value in config.items() if "layers" in key]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, int):
            found.append(value)
    return found
