-- p9.lua
-- P9, kill(immediate): from the call until the exit listener hears of the end, the median of so many; of a tight loop, of
-- a loop of pcalls in nested coroutines, of a blocked read. Goals: 2 ms; for the one that catches all errors the grace
-- of 50 ms and 5 more.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p9 = {title = "Kills", sides = {}}

local function loop(task)
  task.reply:send "ready"
  while true do end
end

local function catch_all(task)
  local function resist()
    while true do
      pcall(function() while true do end end)
    end
  end
  task.reply:send "ready"
  coroutine.wrap(function()
    coroutine.wrap(resist)()
  end)()
end

-- Opens the pipe for writing as well: so opening does not wait, and reading does.
local function read_pipe(task)
  local pipe <close> = assert(io.open(task.path, "r+"))
  task.reply:send "ready"
  pipe:read "a"
end

-- Seconds of a kill, the median of `n`.
local function time_kills(n, fn, path)
  local port <close> = Isolate.ReceivePort()
  local times = {}
  for i = 1, n do
    local victim = Isolate.spawn(fn, {reply = port.send_port, path = path}, {on_exit = port.send_port})
    assert(port:receive() == "ready")
    Isolate.sleep(0.002)  -- it is in the middle of it
    local start = now()
    victim:kill(Isolate.immediate)
    assert(port:receive() == nil)
    times[i] = now() - start
  end
  return frame.median(times)
end

function p9.sides.loop(n)
  return time_kills(tonumber(n), loop)
end

function p9.sides.catch_all(n)
  return time_kills(tonumber(n), catch_all)
end

function p9.sides.read(n)
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute(("mkfifo '%s'"):format(path)))
  local seconds = time_kills(tonumber(n), read_pipe, path)
  os.remove(path)
  return seconds
end

p9.rows = {
  {"kill of a tight loop", unit = "ms", ours = "p9 loop 50", goal = frame.no_more_than(0.002, "2 ms")},
  {"kill of pcalls in coroutines", unit = "ms", ours = "p9 catch_all 10", goal = frame.no_more_than(0.055, "55 ms")},
  {"kill of a blocked read", unit = "ms", ours = "p9 read 50", goal = frame.no_more_than(0.002, "2 ms")},
}

return p9
