-- p3.lua
-- P3, one way: small messages, from the first one sent until the last one is handled by a listener.
-- Floor: a plain program, malloc, a mutex, and Lua at both ends. Goals: integers at least 1.4 of its rate, tables of
-- three fields 0.4, four senders to one receiver 1.2. Beside it, a mutex ring and the building of such tables, in C.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p3 = {title = "One way", sides = {}}

-- Over there: counts `n` messages, then says so; as often as it is to.
local function count(task)
  local port <const> = Isolate.ReceivePort()
  local left, times = task.n, task.times
  port:listen(function()
    left = left - 1
    if left == 0 then
      left, times = task.n, times - 1
      task.reply:send(true)
      if times == 0 then port:close() end
    end
  end)
  task.reply:send(port.send_port)
end

-- Seconds per message; `fill` sends `n` messages to a port. With `times`, that is done so often, each time when the
-- messages before have been handled.
local function stream(fill, n, times)
  n, times = tonumber(n), tonumber(times or 1)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(count, {n = n, times = times, reply = port.send_port})
  local target = port:receive()
  local start = now()
  for _ = 1, times do
    fill(target, n)
    port:receive()
  end
  return (now() - start) / (n * times)
end

local function fill_with_integers(target, n)
  for i = 1, n do target:send(i) end
end

local function fill_with_tables(target, n)
  for i = 1, n do target:send {id = i, name = "some name", ok = true} end
end

function p3.sides.integers(n, times) return stream(fill_with_integers, n, times) end

function p3.sides.tables(n, times) return stream(fill_with_tables, n, times) end

-- Over there: waits for a port, and sends it `n` integers.
local function fill_when_told(task)
  local port <close> = Isolate.ReceivePort()
  task.reply:send(port.send_port)
  fill_with_integers(port:receive(), task.n)
end

-- So many integers from four isolates to one.
function p3.sides.fan_in(n)
  local senders, share = {}, n // 4
  local port <close> = Isolate.ReceivePort()
  for i = 1, 4 do
    Isolate.spawn(fill_when_told, {n = share, reply = port.send_port})
    senders[i] = port:receive()
  end
  Isolate.spawn(count, {n = 4 * share, times = 1, reply = port.send_port})
  local target = port:receive()
  local start = now()
  for _, sender in ipairs(senders) do sender:send(target) end
  port:receive()
  return (now() - start) / (4 * share)
end

p3.rows = {
  {
    "integers, one way", unit = "rate", ours = "p3 integers 500000", floor = "floor plain 1000000",
    goal = frame.at_least(1.4),
    others = {{"ring in C", "floor ring 2000000"}, {"cqueues", "peers cqueues_lines 500000"}},
  },
  {
    "tables, one way", unit = "rate", ours = "p3 tables 200000", floor = "floor plain 1000000",
    goal = frame.at_least(0.4),
    others = {{"building in C", "floor tables 1000000"}, {"cqueues, JSON", "peers cqueues_tables 100000"}},
  },
  {
    "integers, four to one", unit = "rate", ours = "p3 fan_in 500000", floor = "floor plain 1000000",
    goal = frame.at_least(1.2), others = {{"four plain senders", "floor plain 1000000 4"}},
  },
}

return p3
