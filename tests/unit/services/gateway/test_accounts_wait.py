"""Why none of a campaign's accounts may send now."""

from services.gateway.routes.campaigns import accounts_wait

NOW = 1_000_000
OPEN = {"breaker": "open"}
CAPPED = {"bulk_capped_until": "1060000", "capped_until": "2000000"}
FREE = {"breaker": "closed", "bulk_capped_until": "999999"}


def test_one_that_may_send_is_enough() -> None:
    assert accounts_wait([OPEN, CAPPED, FREE], "bulk", NOW) is None
    assert accounts_wait([OPEN, {}], "bulk", NOW) is None, "nothing is known of a new account"


def test_the_earliest_cap_counts() -> None:
    later = {"bulk_capped_until": "9000000"}
    assert accounts_wait([later, CAPPED], "bulk", NOW) == "all accounts capped until 1970-01-01T00:17:40Z"


def test_each_lane_has_its_own_cap() -> None:
    assert accounts_wait([CAPPED], "transactional", NOW) == "all accounts capped until 1970-01-01T00:33:20Z"


def test_some_may_be_out_of_service_meanwhile() -> None:
    assert (
        accounts_wait([CAPPED, OPEN], "bulk", NOW) == "all accounts capped until 1970-01-01T00:17:40Z or out of service"
    )
    assert accounts_wait([OPEN, OPEN], "bulk", NOW) == "all accounts that it may use are out of service"
