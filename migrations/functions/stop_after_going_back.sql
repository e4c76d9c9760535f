-- needs: gate_key

create or replace function stop_after_going_back(p_epoch bigint, p_beat bigint, p_reason text) returns boolean language plpgsql volatile
as $$
-- Stops all lanes, if what Redis has is ahead; answers whether that is new. As long as nobody has confirmed it, only a
-- Redis that is even further ahead stops again.
begin
    perform pg_advisory_xact_lock(gate_key());
    update control k set
        stopped_lanes = '{bulk,transactional}', stop_reason = p_reason,
        went_back_at = coalesce(k.went_back_at, clock_timestamp()),
        ahead_epoch = greatest(k.ahead_epoch, p_epoch), ahead_beat = greatest(k.ahead_beat, p_beat)
    where (k.epoch < p_epoch or (select b.last_value from beat_number b) < p_beat)
        and (k.went_back_at is null or p_epoch > k.ahead_epoch or p_beat > k.ahead_beat);
    return found;
end
$$;
