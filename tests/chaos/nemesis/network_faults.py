"""Links between one process and Redis: slow, torn, half open, open one way only."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.chaos.harness.instance import OTHERS, WORKERS, Instance
from tests.chaos.harness.proxy import Rules
from tests.chaos.nemesis.kinds import Fault, register

_LINKS = (*WORKERS, *OTHERS, "clients")


class OnLink(Fault):
    """Rules for one link, or for all; with `cut` its open connections are reset when it begins and when it heals."""

    def __init__(
        self,
        instance: Instance,
        chance: random.Random,
        rules: Callable[[random.Random], Rules],
        *,
        cut: bool,
        all_: bool,
    ) -> None:
        super().__init__(instance, chance)
        self._links = list(_LINKS) if all_ else [chance.choice(_LINKS)]
        self.target = ",".join(self._links) if not all_ else "all"
        self._rules = rules
        self._cut = cut

    def inject(self) -> None:
        for name in self._links:
            self.instance.network.set(name, self._rules(self.chance))
            if self._cut:
                self.instance.network.cut(name)

    def heal(self) -> None:
        for name in self._links:
            self.instance.network.set(name, Rules())
            if self._cut:
                self.instance.network.cut(name)


def _add(
    name: str,
    rules: Callable[[random.Random], Rules],
    *,
    cut: bool = False,
    all_: bool = False,
    lasts: tuple[float, float] = (1.0, 5.0),
) -> None:
    def make(instance: Instance, chance: random.Random) -> Fault:
        return OnLink(instance, chance, rules, cut=cut, all_=all_)

    register(name, make, lasts=lasts, touches=["links"], outage=all_)


_add("link-slow", lambda chance: Rules(delay=chance.uniform(0.02, 0.3)))
_add("link-trickles", lambda chance: Rules(trickle=chance.randrange(64, 900)), lasts=(0.5, 2.0))
_add("link-half-open", lambda _: Rules(hold_requests=True, hold_replies=True))
_add("link-requests-held", lambda _: Rules(hold_requests=True))
_add("link-replies-held", lambda _: Rules(hold_replies=True))
_add("link-replies-lost", lambda chance: Rules(lost_replies=chance.randrange(1, 6)))
_add("link-loses-a-fifth", lambda _: Rules(lost_share=0.2))
_add("link-refused", lambda _: Rules(refuse=True), cut=True)
_add("partition-of-all", lambda _: Rules(refuse=True), cut=True, all_=True, lasts=(1.0, 4.0))
_add("half-open-all", lambda _: Rules(hold_requests=True, hold_replies=True), all_=True, lasts=(1.0, 4.0))
