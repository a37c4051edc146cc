"""Generative geolocation: a photo's answer is a distribution, learnt as a flow on the sphere.

After Dufour, Picard, Kalogeiton and Landrieu, "Around the World in 80 Timesteps", CVPR 2025. Noise
spread evenly over the Earth is carried to places where the photo may have been taken:

    network = FlowNetwork(dim=embeddings.shape[1])
    learn_flow(network, embeddings, places, FLOW_TRAINING)
    places = sample(network, embedding, n=256)                        # (B, 256, 3) unit vectors
    log_p = log_density(network, embedding, points)                   # nats per steradian

- `paths`: what the network is taught: three processes (flow on the sphere, flow in R3, DDPM in R3).
- `network`: AdaLN-MLP with Fourier time embedding.
- `learning`: losses for `geolab.training.train`.
- `sampler`: Euler by the exponential map, guidance, trajectories.
- `density`: log-likelihood by the divergence of the tangent field; `grid`: its integral and mass.
- `baselines`: one von Mises-Fisher, and mixtures of them, on the same trunk.
- `uncertainty`: localizability, risk-coverage curve, precision/recall/density/coverage.
- `decisions`: from a distribution to one point.
- `toy`: four synthetic scenes whose density is known.

The locator on CLIP features is `geolab.locators.flow`.
"""

from geolab.flow.density import log_density
from geolab.flow.learning import FLOW_TRAINING, learn_flow
from geolab.flow.network import FlowNetwork
from geolab.flow.sampler import sample, trajectories

__all__ = [
    "FLOW_TRAINING",
    "FlowNetwork",
    "learn_flow",
    "log_density",
    "sample",
    "trajectories",
]
