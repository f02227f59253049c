-- Close the open slot, or say again which closed one still waits for its block.
--
-- KEYS  1 meta  2 state  3 images_even  4 images_odd
-- ARGV  epoch, interval (ms: close only a slot at least this old, or one that is full; 0 = any)
-- RESULT {slot, first seq, last seq, time (ms), parent hash, processed, failed, burned, supply, ledger id}
--        or nothing when it is too early
-- ERRORS STALE_EPOCH <current>
--
-- At most one slot is closed and not yet archived: commits go on into the next, which stays open until the archive
-- has this one. So no blockhash expires while the archive is away. `slot_opened` is the server's clock when the slot
-- was opened; a clock set back since makes it due. `slot_time` and a block's time never go back.

local meta = redis.call('HMGET', KEYS[1], 'epoch', 'supply', 'ledger_id')
if meta[1] ~= ARGV[1] then
  return redis.error_reply('STALE_EPOCH ' .. (meta[1] or 'none'))
end
local closing = redis.call('HGET', KEYS[2], 'closing')
if not closing or closing == '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local state = redis.call('HMGET', KEYS[2], 'slot', 'slot_time', 'seq', 'finalized_seq', 'processed', 'failed',
    'burned', 'bytes', 'full', 'slot_opened')
  local full = state[9] and state[9] ~= ''
  local age = now - tonumber(state[10] or state[2])
  if not full and age >= 0 and age < tonumber(ARGV[2]) then return false end
  local time = string.format('%.0f', math.max(now, tonumber(state[2])))
  redis.call('HSET', KEYS[2],
    'closing', state[1],
    'closing_first', string.format('%.0f', tonumber(state[4]) + 1),
    'closing_last', state[3],
    'closing_time', time,
    'closing_processed', state[5],
    'closing_failed', state[6],
    'closing_burned', state[7],
    'closing_bytes', state[8] or '0',
    'bytes', '0',
    'full', '',
    'slot', string.format('%.0f', tonumber(state[1]) + 1),
    'slot_time', time,
    'slot_opened', string.format('%.0f', now))
  -- The slot that opens takes the place of the one before the one that closes, which is in the archive.
  redis.call('UNLINK', KEYS[3 + (tonumber(state[1]) + 1) % 2])
end
local c = redis.call('HMGET', KEYS[2], 'closing', 'closing_first', 'closing_last', 'closing_time', 'blockhash',
  'closing_processed', 'closing_failed', 'closing_burned')
return {c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], meta[2], meta[3]}
