-- Make a ledger: its identity, its first accounts, its first blockhash.
--
-- KEYS  1 meta  2 state  3 accounts  4 versions  5 blockhashes
-- ARGV  epoch, ledger id, supply (lamports), hash of the genesis block (32 bytes), layout, version of the accounts,
--       time of the genesis block (ms), then pairs: account key, what is stored of it
-- RESULT 1 made, 0 it exists
--
-- The genesis block is in the archive already: slot 0, sequence number 1.

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))

redis.call('HSET', KEYS[1], 'layout', ARGV[5], 'epoch', ARGV[1], 'ledger_id', ARGV[2], 'supply', ARGV[3])
redis.call('HSET', KEYS[2], 'slot', '1', 'slot_time', ARGV[7], 'slot_opened', now,
  'seq', '1', 'blockhash', ARGV[4], 'burned', '0',
  'processed', '0', 'failed', '0', 'accepted', '0', 'watermark', '0',
  'finalized', '0', 'finalized_seq', '1', 'closing', '')
redis.call('HSET', KEYS[5], ARGV[4], '1')
for i = 8, #ARGV, 2 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  -- A plain account is its own version.
  if #ARGV[i + 1] >= 49 then redis.call('HSET', KEYS[4], ARGV[i], ARGV[6]) end
end
return 1
