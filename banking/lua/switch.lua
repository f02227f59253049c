-- Serve the restored state.
--
-- KEYS  1 meta  2 lease  3 new state  4 new accounts  5 new versions  6 intake  7 dead
-- ARGV  token, new epoch, ledger id, supply (lamports), accounts expected, then the fields of the new state (pairs)
-- RESULT 1 switched, 0 the lease is lost, -1 the new state is not complete (Redis lost some of it meanwhile)

if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local count = tonumber(ARGV[5])
if redis.call('HLEN', KEYS[4]) ~= count or redis.call('HLEN', KEYS[5]) ~= count then return -1 end

local clock = redis.call('TIME')
redis.call('HSET', KEYS[3], 'slot_time', string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)),
  'watermark', '0', 'closing', '', unpack(ARGV, 6))
-- What this Redis still holds unresolved counts as accepted, beside the outcomes that were restored.
local waiting = redis.call('HLEN', KEYS[6])
for _, id in ipairs(redis.call('HKEYS', KEYS[7])) do
  if #id == 64 then waiting = waiting + 1 end
end
local outcomes = redis.call('HMGET', KEYS[3], 'processed', 'failed')
redis.call('HSET', KEYS[3], 'accepted', string.format('%.0f', outcomes[1] + outcomes[2] + waiting))
redis.call('HSET', KEYS[1], 'layout', '1', 'epoch', ARGV[2], 'ledger_id', ARGV[3], 'supply', ARGV[4])
redis.call('DEL', KEYS[2])
return 1
