-- Compare what was read of accounts with what is there; banking/ledger/stored_account.py says how they are kept.
--
-- `read` has the version of each of `keys` behind its length: none = absent, '=' and what was stored = plain. Both are
-- compared with the account itself, the others with the version beside it. It answers, by place, which accounts are
-- stale, and which had a version beside them. Needs columns.lua.
--
-- KEYS, ARGV and RESULT are those of the script that includes it.

local function compare_reads(accounts_key, versions_key, keys, read)
  local sub, byte = string.sub, string.byte
  local stale, had_version, at = {}, {}, 1
  local names, place, expected = {{}, {}}, {{}, {}}, {{}, {}}
  for i = 1, #keys do
    local length, first = byte(read, at, at + 1)
    local itself = length > 0 and first == 61
    local by = (itself or length == 0) and 1 or 2
    local n = #place[by] + 1
    names[by][n], place[by][n], expected[by][n] = keys[i], i, sub(read, at + (itself and 2 or 1), at + length)
    if by == 2 then had_version[i] = true end
    at = at + 1 + length
  end
  for by, hash in ipairs({accounts_key, versions_key}) do
    local current = in_chunks('HMGET', hash, names[by])
    for n = 1, #place[by] do
      if expected[by][n] ~= (current[n] or '') then stale[place[by][n]] = true end
    end
  end
  return stale, had_version
end
