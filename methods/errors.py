"""What can go wrong in a step, as exceptions that say which task is to blame."""


class NonFiniteLoss(RuntimeError):
    """A task loss is NaN or infinite. The message names the tasks; no gradient has been written."""


class NonFiniteGradient(RuntimeError):
    """A gradient holds NaN or infinite values. The message names the tasks if known; no gradient was written."""


class NonPositiveLoss(ValueError):
    """A task loss is zero or negative where the method needs its logarithm. The message names the tasks."""
