-- needs: beat_key, gate_key

create or replace function confirm_going_back() returns timestamptz language plpgsql volatile
as $$
-- An operator knows that Postgres went back: answers since when, null: there was nothing to confirm. From now on Postgres
-- is ahead again, in one transaction and without a word to Redis, whose numbers follow by themselves.
declare
    v_control control%rowtype;
begin
    perform pg_advisory_xact_lock(gate_key());
    select * into v_control from control;
    if v_control.went_back_at is null then
        return null;
    end if;
    perform pg_advisory_xact_lock(beat_key());
    -- 1,000 more, for schedulers that have raised it and stood still before they could write it to Redis.
    perform setval('beat_number', greatest(b.last_value, v_control.ahead_beat) + 1000) from beat_number b;
    update control k set epoch = greatest(k.epoch, v_control.ahead_epoch), went_back_at = null, ahead_epoch = null,
        ahead_beat = null;
    return v_control.went_back_at;
end
$$;
