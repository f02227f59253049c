-- A closed slot's block is in the archive: its hash becomes a recent blockhash, its transactions are final.
--
-- KEYS  1 meta  2 state  3 blockhashes
-- ARGV  epoch, slot, block hash (32 bytes), history (slots a block's hash is kept)
-- RESULT 1 done, 0 it was done before
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
if redis.call('HGET', KEYS[2], 'closing') ~= ARGV[2] then return 0 end
local state = redis.call('HMGET', KEYS[2], 'slot', 'closing_last')
local slot = tonumber(state[1])
redis.call('HSET', KEYS[2], 'blockhash', ARGV[3], 'finalized', ARGV[2], 'finalized_seq', state[2], 'closing', '')
redis.call('HSET', KEYS[3], ARGV[3], state[1])
local expired = {}
local known = redis.call('HGETALL', KEYS[3])
for i = 1, #known, 2 do
  if slot - tonumber(known[i + 1]) > tonumber(ARGV[4]) then expired[#expired + 1] = known[i] end
end
if #expired > 0 then redis.call('HDEL', KEYS[3], unpack(expired)) end
return 1
