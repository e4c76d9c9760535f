"""Every key in Redis, named in one place; Python asks for them here, and scripts spell none that the table lacks.

All share the hash tag ``{<queue name>}``, so that a script may touch them together on Redis Cluster. ``P`` below is that
prefix. Everything here can be lost: Postgres has what is needed to write it anew.

=========================  ======  ====================================================================================
``P:transactional``        stream  entries of single sends, group ``workers``
``P:bulk``                 stream  entries of campaigns
``P:endpoint:<id>:<lane>`` stream  entries bound to one endpoint
``P:bound``                set     ids of the endpoints that have entries of their own
``P:scheduled``            zset    parked entries as JSON, score = due at (ms)
``P:rota``                 zset    ``<endpoint>/<slot>``, score = when the slot may send next (ms)
``P:rota:bulk``            zset    the same for campaigns; the same members as ``P:rota``
``P:named``                zset    slots, score = when a dispatcher or scheduler last named their endpoint (ms)
``P:sends:<endpoint>``     zset    what it sent in the last day, for its caps; see ``lua/take.lua``
``P:trials``               hash    endpoints on trial (half-open) -> since (ms)
``P:busy``                 zset    slots in use, score = end of the lease (ms)
``P:busy:owners``          hash    slot -> ``<token>|<dispatcher>|<when it might have sent a campaign's, ms>``
``P:state:<endpoint>``     hash    breaker and pacing counters of an endpoint (see ``lua/take.lua``)
``P:dispatchers``          hash    name -> last beat (ms)
``P:control``              hash    copy of the rate profile: ``version``, ``profile``
``P:epoch``                hash    ``number`` and ``run_id`` of the Redis that was built for it; ``beat``, the number that
                                   tells whether Postgres went back (``lua/mark_beat.lua``)
``P:statistics``           hash    counters since the last rebuild
``P:minutes``              hash    ``<minute>:<counter>`` of the last two hours
``P:statistics:<id>``      hash    counters of an endpoint
``P:noted:<what>:<n>``     string  how often within the n-th ten minutes; see ``noting``
``P:probe``                –       never there: what ``lua/probe.lua`` tries commands on
``P:wake``                 channel told when an entry was added
=========================  ======  ====================================================================================
"""

from __future__ import annotations

from shared.messages import Lane


def stream_suffix(lane: Lane, endpoint: str = "") -> str:
    """What follows the prefix in the name of a stream: that of a lane, or of what is bound to an endpoint."""
    return f":endpoint:{endpoint}:{lane.value}" if endpoint else f":{lane.value}"


def stream_of(suffix: str) -> tuple[Lane, str]:
    """The lane and the endpoint ('': none) of a ``stream_suffix``."""
    endpoint, _, lane = suffix.removeprefix(":endpoint").rpartition(":")
    return Lane(lane), endpoint.removeprefix(":")


class Keys:
    def __init__(self, queue_name: str) -> None:
        self.prefix = "{" + queue_name + "}"
        self.scheduled = f"{self.prefix}:scheduled"
        self.rota = f"{self.prefix}:rota"
        self.rota_bulk = f"{self.prefix}:rota:bulk"
        self.named = f"{self.prefix}:named"
        self.trials = f"{self.prefix}:trials"
        self.busy = f"{self.prefix}:busy"
        self.busy_owners = f"{self.prefix}:busy:owners"
        self.bound = f"{self.prefix}:bound"
        self.dispatchers = f"{self.prefix}:dispatchers"
        self.control = f"{self.prefix}:control"
        self.epoch = f"{self.prefix}:epoch"
        self.statistics = f"{self.prefix}:statistics"
        self.minutes = f"{self.prefix}:minutes"
        self.wake = f"{self.prefix}:wake"

    def lane(self, lane: Lane, endpoint: str = "") -> str:
        return self.prefix + stream_suffix(lane, endpoint)

    def state(self, endpoint: str) -> str:
        return f"{self.prefix}:state:{endpoint}"

    def sends(self, endpoint: str) -> str:
        return f"{self.prefix}:sends:{endpoint}"

    def endpoint_statistics(self, endpoint: str) -> str:
        return f"{self.prefix}:statistics:{endpoint}"

    def noted(self, what: str, window: int) -> str:
        return f"{self.prefix}:noted:{what}:{window}"

    def of_each_kind(self, endpoint: str) -> list[str]:
        """One key of each kind, for the rights of our user are tried on them."""
        streams = [self.lane(lane, bound) for bound in ("", endpoint) for lane in Lane]
        of_an_endpoint = [self.sends(endpoint), self.state(endpoint), self.endpoint_statistics(endpoint)]
        slots = [self.rota, self.rota_bulk, self.named, self.trials, self.busy, self.busy_owners]
        rest = [self.bound, self.scheduled, self.dispatchers, self.control, self.epoch, self.statistics, self.minutes]
        return [*streams, *of_an_endpoint, *slots, *rest, self.noted(endpoint, 0)]

    def everything(self) -> str:
        """Pattern of all keys of this queue, for SCAN and for the rights of a user."""
        return self.prefix.replace("[", "\\[") + ":*"
