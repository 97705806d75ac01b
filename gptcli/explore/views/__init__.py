"""The views: what each wants to know about the model, and how it draws that.

``scene`` has what all of them see; ``text`` and ``following`` are always on the screen, the others are tabs.
"""

from gptcli.explore.views.adds import AddsView
from gptcli.explore.views.attention import AttentionView
from gptcli.explore.views.effects import EffectsView
from gptcli.explore.views.lens import LensView
from gptcli.explore.views.neurons import NeuronsView
from gptcli.explore.views.scene import View
from gptcli.explore.views.weights import WeightsView

VIEWS: tuple[View, ...] = (
    AttentionView(),
    LensView(),
    AddsView(),
    EffectsView(),
    NeuronsView(),
    WeightsView(),
)
"""In the order of the tabs."""
