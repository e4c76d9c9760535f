-- needs: contact_key, held_key

create or replace function wait_alone(p_message uuid, p_seconds double precision, p_looked_at timestamptz default null)
returns void language plpgsql volatile
as $$
-- Has a waiting message enqueued again in p_seconds by a due row of its own, a campaign's too, so that it can come back before
-- the others of its chunk. With p_looked_at it waits for an account that may write to its recipient, as seen then: at once if
-- the recipient wrote, or a hold was released, since; and whoever does it later finds the row, for the locks are theirs too.
declare
    v_key text;
    v_now boolean := false;
begin
    if p_looked_at is not null then
        perform pg_advisory_xact_lock_shared(held_key());
        select m.phone_key into v_key from messages m where m.id = p_message;
        perform pg_advisory_xact_lock(contact_key(), hashtext(v_key));
        v_now := exists (select from conversations c where c.phone_key = v_key and c.noted_at >= p_looked_at)
            or exists (select from endpoints e where e.hold_released_at >= p_looked_at);
    end if;
    insert into due as d (message, due_at, why, campaign, lane, held_for)
    select m.id, clock_timestamp() + make_interval(secs => case when v_now then 0 else p_seconds end),
        case m.status when 'queued' then 'send' else 'retry' end, m.campaign, m.lane, case when not v_now then v_key end
    from messages m where m.id = p_message and m.status in ('queued', 'retrying')
    on conflict (message) do update set due_at = excluded.due_at, enqueued_at = null, held_for = excluded.held_for
    where d.why <> 'check';
end
$$;
