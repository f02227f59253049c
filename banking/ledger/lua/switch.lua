-- Serve the restored state.
--
-- KEYS  1 meta  2 restorer (the lease)  3 intake  4 dead  5 leftovers
--       6-10 loaded accounts, versions, status, messages, blockhashes
--       11-15 the same of the new epoch  16 its state  17 its journal
-- ARGV  token, new epoch, ledger id, supply (lamports), layout, five counts: fields that 6-10 must have, then the fields of
--       the new state (pairs)
-- RESULT 1 switched, 0 the lease is lost, -1 the loaded state is not complete (Redis lost some of it meanwhile)
--
-- What was loaded is renamed, not copied, so this takes no time. Each loader has keys of its own: a late one, whose
-- lease is lost, cannot have written into what becomes the ledger here.

if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
for i = 1, 5 do
  if redis.call('HLEN', KEYS[5 + i]) ~= tonumber(ARGV[5 + i]) then return -1 end
end
for i = 1, 7 do redis.call('UNLINK', KEYS[10 + i]) end
for i = 1, 5 do
  if tonumber(ARGV[5 + i]) > 0 then
    redis.call('RENAME', KEYS[5 + i], KEYS[10 + i])
    redis.call('PERSIST', KEYS[10 + i])
  end
end
local clock = redis.call('TIME')
redis.call('HSET', KEYS[16], 'slot_opened', string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)),
  'watermark', '0', 'closing', '', unpack(ARGV, 11))
-- What this Redis still holds unresolved counts as accepted, beside the outcomes that were restored.
local waiting = redis.call('HLEN', KEYS[3])
for _, id in ipairs(redis.call('HKEYS', KEYS[4])) do
  if #id == 64 then waiting = waiting + 1 end
end
local outcomes = redis.call('HMGET', KEYS[16], 'processed', 'failed')
redis.call('HSET', KEYS[16], 'accepted', string.format('%.0f', outcomes[1] + outcomes[2] + waiting))
redis.call('HSET', KEYS[1], 'layout', ARGV[5], 'epoch', ARGV[2], 'ledger_id', ARGV[3], 'supply', ARGV[4])
redis.call('SREM', KEYS[5], 'load-' .. ARGV[1])
redis.call('DEL', KEYS[2])
return 1
