-- The ledger's identity and counters, as of one moment.
--
-- KEYS  1 meta  2 state
-- RESULT {meta, state}: two flat lists of names and values, empty where there is no such ledger
--
-- A script because a MULTI is refused by a Redis that is out of memory, even when it only reads.

return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2])}
