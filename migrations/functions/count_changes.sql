-- What a change of messages means for their campaigns: how many are in each terminal status, were delivered and read, may have
-- been sent twice. By what stood before and what stands after, whatever statement it was, so that none can forget to count.
--
-- Looks only at rows that count for something: a gate, whose messages only begin, costs a look at each. By a number of the
-- session, since sessions of one dispatcher meet on a campaign as well as those of two; in the order of the campaigns, since
-- two batches may have the same ones. (The p_shard of other functions is what services of before give; nothing follows from it.)
create or replace function count_changes() returns trigger language plpgsql
as $$
begin
    insert into campaign_counts as n
        (campaign, shard, sent, failed, unknown, canceled, expired, suppressed, delivered, read, possible_duplicates)
    select d.* from (
        select c.campaign, pg_backend_pid() % 16,
            coalesce(sum(c.by) filter (where c.status = 'sent'), 0) as sent,
            coalesce(sum(c.by) filter (where c.status = 'failed'), 0) as failed,
            coalesce(sum(c.by) filter (where c.status = 'unknown'), 0) as unknown,
            coalesce(sum(c.by) filter (where c.status = 'canceled'), 0) as canceled,
            coalesce(sum(c.by) filter (where c.status = 'expired'), 0) as expired,
            coalesce(sum(c.by) filter (where c.status = 'suppressed'), 0) as suppressed,
            -- A message that was read was delivered, so `delivered` counts it too.
            coalesce(sum(c.by) filter (where c.receipt <> 'none'), 0) as delivered,
            coalesce(sum(c.by) filter (where c.receipt = 'read'), 0) as read,
            coalesce(sum(c.by) filter (where c.possible_duplicate), 0) as possible_duplicates
        from (
            select a.campaign, a.status, a.receipt, a.possible_duplicate, 1 as by from after_it a
            union all
            select b.campaign, b.status, b.receipt, b.possible_duplicate, -1 from before_it b
        ) c
        where c.campaign is not null and (
            c.status not in ('queued', 'sending', 'retrying') or c.receipt <> 'none' or c.possible_duplicate)
        group by c.campaign order by c.campaign
    ) d
    where (d.sent, d.failed, d.unknown, d.canceled, d.expired, d.suppressed, d.delivered, d.read, d.possible_duplicates)
        <> (0, 0, 0, 0, 0, 0, 0, 0, 0)
    on conflict (campaign, shard) do update set
        sent = n.sent + excluded.sent, failed = n.failed + excluded.failed, unknown = n.unknown + excluded.unknown,
        canceled = n.canceled + excluded.canceled, expired = n.expired + excluded.expired,
        suppressed = n.suppressed + excluded.suppressed, delivered = n.delivered + excluded.delivered,
        read = n.read + excluded.read, possible_duplicates = n.possible_duplicates + excluded.possible_duplicates;
    return null;
end
$$;
