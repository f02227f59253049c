-- Make a ledger: its identity, its first accounts, its first blockhash.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 blockhashes  6 journal
-- ARGV  epoch, ledger id, supply (lamports), blockhash (32 bytes), result (packed), then pairs: account key, record
-- RESULT 1 made, 0 it exists
--
-- The genesis is journal entry 0-1 and has sequence number 1, so a replay of the journal starts from nothing.

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))

redis.call('HSET', KEYS[1], 'layout', '1', 'epoch', ARGV[1], 'ledger_id', ARGV[2], 'supply', ARGV[3])
redis.call('HSET', KEYS[2], 'slot', '1', 'slot_time', now, 'seq', '1', 'blockhash', ARGV[4], 'burned', '0',
  'processed', '0', 'failed', '0', 'accepted', '0', 'watermark', '0')
redis.call('HSET', KEYS[5], ARGV[4], '1')
local entry = {'t', '', 'r', '0:1:' .. ARGV[5], 'f', '0', 'd', ''}
for i = 6, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  redis.call('HSET', KEYS[4], ARGV[i], '1')
  entry[#entry + 1] = ARGV[i]
  entry[#entry + 1] = ARGV[i + 1]
end
redis.call('XADD', KEYS[6], '0-1', unpack(entry))
return 1
