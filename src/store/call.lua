-- Reads KEYS and ARGV in the order in which call.rs writes them: the first part of the script, apply.lua is the
-- other. Whatever does not fit ends the script before it has looked at anything.

-- A double below 2^53 is the integer it was read from; 2^53 may have been 2^53 + 1.
local EXACT = 9007199254740992
-- What one call adds and touches at most. `unpack` gives an error near 8,000.
local MOST_EVENTS, MOST_STRETCHES = 4000, 1000
-- A seen id, and a chunk of them, in bytes.
local SEEN_ID, FULL_CHUNK = 12, 49140

-- Locals are found faster than globals.
local KEYS, ARGV, tonumber, abs, format, unpack = KEYS, ARGV, tonumber, math.abs, string.format, unpack
local next_key, next_arg = 0, 0
local key_types = {}

-- A key that is used as two types would fail halfway.
local function key(as)
  next_key = next_key + 1
  local name = KEYS[next_key]
  if not name then error('bad call: too few keys') end
  if (key_types[name] or as) ~= as then error('bad call: two uses of key ' .. name) end
  key_types[name] = as
  return name
end

local function text()
  next_arg = next_arg + 1
  local value = ARGV[next_arg]
  if not value then error('bad call: too few arguments') end
  return value
end

-- Exactly the texts that HINCRBY takes for a number: no leading zero, no plus, no space; and no more than a double
-- can tell from its neighbours.
local function is_integer(value)
  if not value or #value > 17 then return false end
  return value == '0' or (value:find('^-?[1-9]%d*$') and abs(tonumber(value)) < EXACT)
end

local function number()
  local value = text()
  if not is_integer(value) then error('bad call: not an integer') end
  return tonumber(value)
end

local function count(most)
  local value = number()
  if value < 0 or value > most then error('bad call: count out of range') end
  return value
end

-- Skips `length` arguments and returns the index of the first.
local function arguments(length)
  local first = next_arg + 1
  next_arg = next_arg + length
  if next_arg > #ARGV then error('bad call: too few arguments') end
  return first
end

-- Some of a partition: its fields in the state, what is expected of them and what they are to be.
local function read_stretch()
  local partition = text()
  return {
    watermark = 'watermark:' .. partition, log = 'log:' .. partition, unrated = 'unrated:' .. partition,
    expected = text(), target = text(), log_time = number(), unrated_from = text(),
  }
end

-- What is appended to a chunk of seen ids, which is so long by now.
local function read_append()
  return {key = key('string'), length = count(EXACT), bytes = text()}
end

-- A hash to write to: 'name, value, name, value, …' in ARGV.
local function read_hash()
  local hash = {key = key('hash'), cells = count(100000)}
  hash.first_cell = arguments(2 * hash.cells)
  return hash
end

local function read_change()
  return {
    verb = text(), kind = text(), member = text(), id = text(), time = number(), log = number(),
    saved = key('zset'), other_saved = key('zset'), tombstones = key('zset'), counts = key('hash'),
  }
end

local function read_call()
  local call = {
    state = key('hash'), tombstones = key('zset'), stretches = {}, expire_keys = {}, logs = {}, appends = {}, hashes = {},
    members = {}, changes = {},
  }
  local partitions = {}
  for i = 1, count(MOST_STRETCHES) do
    call.stretches[i] = read_stretch()
    if partitions[call.stretches[i].watermark] then error('bad call: two stretches of one partition') end
    partitions[call.stretches[i].watermark] = true
  end
  call.events, call.stamp, call.next_stamp = count(MOST_EVENTS), text(), text()
  call.tidies, call.partitions = text() == 'tidy', count(1000000)
  call.window, call.keep_tombstones = number(), number()
  call.expire, call.expires_all = text(), text() == 'all'
  for i = 1, count(4096) do call.expire_keys[i] = key('string') end
  for i = 1, count(MOST_EVENTS) do call.logs[i] = text() end
  local appended = 0
  for i = 1, count(MOST_EVENTS) do
    call.appends[i] = read_append()
    appended = appended + #call.appends[i].bytes
  end
  if appended ~= SEEN_ID * call.events then error('bad call: not an id for each event') end
  for i = 1, count(3 * MOST_EVENTS) do call.hashes[i] = read_hash() end
  for i = 1, count(MOST_EVENTS) do call.members[i] = {key = key('set'), member = text()} end
  call.most_kinds = count(1000000)
  for i = 1, count(2 * MOST_EVENTS) do call.changes[i] = read_change() end
  if next_key ~= #KEYS or next_arg ~= #ARGV then error('bad call: more keys or arguments than it says') end
  return call
end

