-- name: accounts_that_have
-- Accounts with the message of WhatsApp id $1 in their chats, sent by us or heard; the one that had it last comes first.
select endpoint from (
    select w.endpoint, 'infinity'::timestamptz as at from whatsapp_ids w where w.whatsapp_id = $1
    union all
    select i.endpoint, i.noted_at from inbound_ids i where i.whatsapp_id = $1
) x
group by endpoint order by max(at) desc, endpoint

-- name: original
-- A message of ours as one that answers it sees it. By an attempt, since WhatsApp's ids have no index by message.
select m.status, a.whatsapp_id, a.endpoint
from messages m
left join lateral (
    select x.whatsapp_id, x.endpoint from attempts x
    where x.message = $1 and x.whatsapp_id is not null
    order by x.number desc limit 1
) a on true
where m.id = $1

-- name: bind
-- To the account that has what it answers, unless a caller chose one.
update messages set chosen_endpoint = $2 where id = $1 and chosen_endpoint is null
