-- Forget a slot that is in the archive and too old for its transactions to come again.
--
-- KEYS  1 meta  2 state  3 status  4 messages  5 journal
-- ARGV  epoch, slot, '1' to trim the journal, then up to 1,000 pairs: signature, message hash
-- RESULT 1 forgotten, 0 the slot is not final
-- ERRORS STALE_EPOCH <current>
--
-- Call it as often as the slot needs, the last time with the trim: until then a killed caller finds the rest again.

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local slot = tonumber(ARGV[2])
if slot > tonumber(redis.call('HGET', KEYS[2], 'finalized') or '-1') then return 0 end
local signatures, hashes = {}, {}
for i = 4, #ARGV, 2 do
  signatures[#signatures + 1] = ARGV[i]
  hashes[#hashes + 1] = ARGV[i + 1]
end
if #signatures > 0 then
  redis.call('HDEL', KEYS[3], unpack(signatures))
  redis.call('HDEL', KEYS[4], unpack(hashes))
end
if ARGV[3] == '1' then redis.call('XTRIM', KEYS[5], 'MINID', string.format('%.0f-0', slot + 1)) end
return 1
