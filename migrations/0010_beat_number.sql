-- A number that schedulers raise here first and then write to Redis. So Redis is never ahead of Postgres, unless Postgres
-- went back: a backup was restored, or a standby took over that had not received everything. Then messages that were sent
-- may stand here as waiting, and everything stops until an operator has confirmed it.
--
-- A sequence, since its row is changed in place: raised twice a second, a row of a table would leave 7,000 dead versions
-- in the hour of a backup, and every gate would read them. It is raised by setval, which writes each number to the log;
-- nextval writes 32 ahead, and a copy that lags by so many would not be seen to.

create sequence beat_number;

create function beat_key() returns bigint language sql immutable parallel safe as $$ select 7205759403792794 $$;

alter table control drop column beat;
alter table control
    add column went_back_at timestamptz,
    add column ahead_epoch bigint,
    add column ahead_beat bigint;
comment on column control.went_back_at is
    'Since when Redis is known to be ahead; null: it is not, or an operator has confirmed it.';
comment on column control.ahead_beat is 'The highest beat number that Redis had; ahead_epoch: the highest epoch.';

create function raise_beat(p_seen_epoch bigint, p_seen_beat bigint) returns bigint language plpgsql volatile
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

create function stop_after_going_back(p_epoch bigint, p_beat bigint, p_reason text) returns boolean language plpgsql volatile
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

create function confirm_going_back() returns timestamptz language plpgsql volatile
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
