-- Versions and records of accounts, as of one moment; banking/ledger/stored_account.py says how they are kept.
--
-- The version of a plain account is '=' and what is stored of it, and its record is left out ('') as that of one whose
-- version is `at_hand` (by place; '' or nil = none). Absent: both are ''. A few at a time: a batch may ask for hundreds
-- of records of 10 MiB, and Redis serves nobody else meanwhile; with those that go beyond `most` bytes, the answer ends.
-- It answers versions, records, and how many accounts, in the order asked, have them.
--
-- KEYS, ARGV and RESULT are those of the script that includes it.

local function read_accounts(accounts_key, versions_key, accounts, at_hand, most)
  local HEADER_SIZE, STEP = 49, 6
  local versions, records, known, place = {}, {}, {}, {}
  for i = 1, #accounts do
    if at_hand[i] and at_hand[i] ~= '' then known[#known + 1], place[#place + 1] = accounts[i], i end
  end
  local function versions_of(keys, use)
    for first = 1, #keys, 4000 do
      local last = math.min(first + 3999, #keys)
      local found = redis.call('HMGET', versions_key, unpack(keys, first, last))
      for n = first, last do use(place[n], found[n - first + 1]) end
    end
  end
  versions_of(known, function(i, version)
    if version == at_hand[i] then versions[i], records[i] = version, '' end
  end)

  local wanted, full, looked_at, sent = {}, {}, #accounts, 0
  local wanted_at = {}
  place = {}
  for i = 1, #accounts do
    if not versions[i] then wanted[#wanted + 1], wanted_at[#wanted_at + 1] = accounts[i], i end
  end
  for first = 1, #wanted, STEP do
    if sent > most then
      looked_at = wanted_at[first] - 1
      break
    end
    local last = math.min(first + STEP - 1, #wanted)
    local part = redis.call('HMGET', accounts_key, unpack(wanted, first, last))
    for n = first, last do
      local i, stored = wanted_at[n], part[n - first + 1]
      if not stored then
        versions[i], records[i] = '', ''
      elseif #stored < HEADER_SIZE then
        versions[i], records[i] = '=' .. stored, ''
      else
        records[i], versions[i], sent = stored, '', sent + #stored
        full[#full + 1], place[#place + 1] = accounts[i], i
      end
    end
  end
  versions_of(full, function(i, version) versions[i] = version or '' end)
  return versions, records, looked_at
end
