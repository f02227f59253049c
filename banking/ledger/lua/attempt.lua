-- Count a run of a suspect transaction before it begins, or take the count back after an end that was seen.
--
-- KEYS  1 meta  2 intake  3 attempts
-- ARGV  epoch, signature, change (1 or -1)
-- RESULT its runs without an end so far, or -1 when it is not in intake any more: others brought it to its end
-- ERRORS STALE_EPOCH <current>

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then
  redis.call('HDEL', KEYS[3], ARGV[2])
  return -1
end
local count = redis.call('HINCRBY', KEYS[3], ARGV[2], ARGV[3])
-- An end told late may meet a count that was dropped meanwhile.
if count < 0 then count = redis.call('HINCRBY', KEYS[3], ARGV[2], -count) end
return count
