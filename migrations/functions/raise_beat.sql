-- needs: beat_key

create or replace function raise_beat(p_seen_epoch bigint, p_seen_beat bigint) returns bigint language plpgsql volatile
as $$
-- The next beat number. p_seen_…: what the caller has read in Redis before. Null: Redis is ahead, or was and nobody has
-- confirmed it yet; then the number stays, so that it does not grow past what Redis has.
declare
    v_number bigint;
begin
    -- Of two callers that have read the same number one would otherwise set it back.
    perform pg_advisory_xact_lock(beat_key());
    select b.last_value into v_number from beat_number b;
    if v_number < p_seen_beat or (select k.epoch < p_seen_epoch or k.went_back_at is not null from control k) then
        return null;
    end if;
    return setval('beat_number', v_number + 1);
end
$$;
