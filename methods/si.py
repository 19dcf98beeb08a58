"""Scale-invariant scalarisation (SI): minimise the sum of the losses' logarithms."""

from __future__ import annotations

from torch import Tensor

from methods.base import LossWeighting
from methods.errors import NonPositiveLoss


class ScaleInvariant(LossWeighting):
    """SI: minimise Σᵢ log Lᵢ; weights 1/Lᵢ. As in Navon et al., ICML 2022, section 5.

    Multiplying a loss by a positive number changes nothing. Raises :class:`NonPositiveLoss` if a loss is not
    positive: its logarithm does not exist.
    """

    def objective(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        if bad := {k: value for k, value in enumerate(losses.tolist()) if value <= 0}:
            raise NonPositiveLoss(
                f"scale-invariant scalarisation needs positive losses, got (task: value) {bad}; "
                "use another method or a loss bounded away from zero."
            )
        return losses.log().sum(), 1.0 / losses
