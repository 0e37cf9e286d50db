-- p6.lua
-- P6, the headline: 211,640 photos (24 MB of JSON) are parsed by lua-cjson in an isolate, while a timer of a
-- millisecond ticks in the main one; the longest gap between two ticks until the table is there, and the time of it.
-- Floors: for the gap the longest single call of pushing the same strings and making the same tables; for the time the
-- same parse in the main isolate. Goals: 4 ms above the one, twice the other. The gaps of the two seconds after the
-- arrival, in which each tick makes a hundred tables, stand beside it for both collectors. PHOTOS=1000: a smaller file.

local Isolate = require "isolate"
local json = require "cjson"
local photos = require "photos.file"
local frame = require "bench.frame"
local now = require "system".monotime

local p6 = {title = "JSON parsed over there, while a timer ticks here", sides = {}}

local function parse(path)
  local file <close> = assert(io.open(path, "rb"))
  return json.decode(file:read "a")
end

-- Ticks every millisecond, and makes so many tables of `garbage` each time. Call the result for the longest gap so far.
local function tick(garbage)
  local last, longest = now(), 0
  local function measure()
    local time = now()
    last, longest = time, math.max(longest, time - last)
    return longest
  end
  Isolate.Timer.periodic(0.001, function()
    measure()
    for i = 1, garbage do table.pack(i) end
  end)
  return measure
end

-- Ends the program with the result: a timer still ticks.
local function parse_there(path)
  return Isolate.run(parse, path):await()
end

function p6.sides.gap(path)
  local longest_gap = tick(0)
  parse_there(path)
  return longest_gap()
end

function p6.sides.total(path)
  tick(0)
  local start = now()
  parse_there(path)
  return now() - start
end

-- The longest gap in so many milliseconds after the arrival; the collector is set before it.
function p6.sides.after(collector, ms, path)
  collectgarbage(collector)
  local list = parse_there(path)
  local longest_gap = tick(100)
  Isolate.sleep(ms / 1000)
  return #list > 0 and longest_gap()
end

function p6.sides.here(path)
  local start = now()
  parse(path)
  return now() - start
end

local path = photos.path(tonumber(os.getenv "PHOTOS") or 211640)
local function with_path(command) return ("%s '%s'"):format(command, path:gsub("'", "'\\''")) end

p6.rows = {
  {
    "photos: longest gap here", unit = "ms", ours = with_path "p6 gap", floor = with_path "floor photos",
    goal = frame.floor_plus(0.004),
    others = {{"parsed here", with_path "p6 here"}, {"luv, JSON", with_path "peers luv_photos"}},
  },
  {
    "photos: until they are here", unit = "ms", ours = with_path "p6 total", floor = with_path "p6 here",
    goal = frame.at_most(2),
  },
  {"photos: gap after, generational", unit = "ms", ours = with_path "p6 after generational 2000"},
  {"photos: gap after, incremental", unit = "ms", ours = with_path "p6 after incremental 2000"},
}

return p6
