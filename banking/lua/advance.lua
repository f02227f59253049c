-- Close the open slot and make a new blockhash recent.
--
-- KEYS  1 meta  2 state  3 blockhashes
-- ARGV  epoch, slot expected to be open, new blockhash (32 bytes), history (slots a blockhash is kept),
--       interval (ms: at least this since the last advance, 0 = at once)
-- RESULT 1 advanced, 0 somebody else was first or it is too early
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local state = redis.call('HMGET', KEYS[2], 'slot', 'slot_time')
if state[1] ~= ARGV[2] or now - tonumber(state[2]) < tonumber(ARGV[5]) then return 0 end

local slot = tonumber(state[1]) + 1
redis.call('HSET', KEYS[2], 'slot', string.format('%.0f', slot), 'slot_time', string.format('%.0f', now),
  'blockhash', ARGV[3])
redis.call('HSET', KEYS[3], ARGV[3], string.format('%.0f', slot))
local expired = {}
local known = redis.call('HGETALL', KEYS[3])
for i = 1, #known, 2 do
  if slot - tonumber(known[i + 1]) > tonumber(ARGV[4]) then expired[#expired + 1] = known[i] end
end
if #expired > 0 then redis.call('HDEL', KEYS[3], unpack(expired)) end
return 1
