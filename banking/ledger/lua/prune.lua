-- Forget the oldest commits: they are in the archive, and too old for their transactions to come again.
--
-- KEYS  1 meta  2 state  3 status  4 messages  5 journal
-- ARGV  epoch, newest slot to forget, most commits
-- RESULT how many commits were forgotten; less than asked when there are no more, or their slots are not final
-- ERRORS STALE_EPOCH <current>
--
-- A commit goes whole: its outcomes, its messages and its journal entry (banking/ledger/journal_format.py).

local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (epoch or 'none'))
end
local last = math.min(tonumber(ARGV[2]), tonumber(redis.call('HGET', KEYS[2], 'finalized') or '-1'))
if last < 0 then return 0 end
local found = redis.call('XRANGE', KEYS[5], '-', string.format('%.0f', last), 'COUNT', ARGV[3])
local sub, byte = string.sub, string.byte
for _, commit in ipairs(found) do
  local fields = commit[2]
  local count, raws, joined = tonumber(fields[2]), fields[4], fields[6]
  local signatures, hashes, at = {}, {}, 1
  for n = 1, count do
    local high, low = byte(raws, at, at + 1)
    signatures[n], hashes[n] = sub(raws, at + 3, at + 66), sub(joined, 32 * n - 31, 32 * n)
    at = at + 2 + high * 256 + low
  end
  redis.call('HDEL', KEYS[3], unpack(signatures))
  redis.call('HDEL', KEYS[4], unpack(hashes))
end
if #found > 0 then
  local slot, first = string.match(found[#found][1], '^(%d+)-(%d+)$')
  redis.call('XTRIM', KEYS[5], 'MINID', slot .. '-' .. string.format('%.0f', first + 1))
end
return #found
