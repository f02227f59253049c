-- Read a piece of the journal.
--
-- KEYS  1 journal
-- ARGV  first id, last id (as XRANGE takes them), count
-- RESULT up to `count` of {id, {field, value, ...}}, in order
--
-- A plain XRANGE would do, but redis-py turns its answer into dictionaries, entry by entry, and a sealer reads them all.

return redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
