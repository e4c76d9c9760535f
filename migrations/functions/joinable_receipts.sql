-- Of the receipts pending for these ids, those that have a message. An id is random, so it names its message alone; the
-- endpoint only decides between two. An account whose address in the settings has changed is another endpoint and keeps
-- its receipts.
create or replace function joinable_receipts(p_whatsapp_ids text[])
returns table (pending_row tid, receipt text, message uuid, number integer, endpoint text)
language sql stable
as $$
    select r.ctid, r.receipt, w.message, w.number, w.endpoint
    from pending_receipts r
    cross join lateral (
        -- The limit forbids a plan that reads all ids there are.
        select x.message, x.number, x.endpoint from whatsapp_ids x
        where x.whatsapp_id = r.whatsapp_id
        order by x.endpoint <> r.endpoint, x.endpoint limit 1
    ) w
    where r.whatsapp_id = any (p_whatsapp_ids)
$$;
