-- photos.lua: 24 MB of JSON become 211,640 Photos in an isolate, while a timer of a millisecond ticks on here;
-- then the same is done in place, to see the stall this saves. The file is made on first use.
-- Run it:  lua5.4 examples/photos.lua       (PHOTOS=1000 in the environment: a smaller file)
package.path = (arg[0]:match "^.*[/\\]" or "") .. "?.lua;" .. package.path

local Isolate = require "isolate"
local json    = require "cjson"
local now     = require "system".monotime
local Photo   = require "photos.photo"
local file    = require "photos.file"

local read_photos, start_ticking                       -- below

local function main()
  local path = file.path(tonumber(os.getenv "PHOTOS") or 211640)
  local longest_gap, ticker = start_ticking()

  local start = now()
  local photos, seconds = Isolate.run(read_photos, path):await()
  local total, gap = now() - start, longest_gap()
  print(("In an isolate: %d photos after %.0f ms"):format(#photos, total * 1000))
  print(("  reading took %.0f ms over there; longest gap between two ticks here: %.1f ms")
    :format(seconds * 1000, gap * 1000))
  print("  a method of one that came: " .. photos[77]:caption())

  photos, seconds = read_photos(path)
  gap = longest_gap()
  print(("In place: %d photos after %.0f ms"):format(#photos, seconds * 1000))
  print(("  longest gap between two ticks: %.1f ms"):format(gap * 1000))
  ticker:cancel()
end

-- Returns the Photos of a JSON file, and the seconds that took. Runs over there, and here.
function read_photos(path)
  local start = now()
  local f <close> = assert(io.open(path, "rb"))
  local photos = json.decode(f:read "a")
  for _, record in ipairs(photos) do Photo.from_json(record) end
  return photos, now() - start
end

-- Returns a function that tells the longest gap between two ticks since it was last asked, up to now; and the timer.
function start_ticking()
  local last, longest = now(), 0
  local function tick()
    local time = now()
    longest = math.max(longest, time - last)
    last = time
  end
  local timer = Isolate.Timer.periodic(0.001, tick)
  return function()
    tick()
    local gap = longest
    longest = 0
    return gap
  end, timer
end

main()

--[[ Output:
In an isolate: <n> photos after <n> ms
  reading took <n> ms over there; longest gap between two ticks here: <n> ms
  a method of one that came: photo 77 of album 2, "<title>"
In place: <n> photos after <n> ms
  longest gap between two ticks: <n> ms
]]
