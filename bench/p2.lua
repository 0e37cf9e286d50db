-- p2.lua
-- P2, round trips: an integer, and a table of three fields, from one isolate to another and back.
-- Floor: the same between two threads that sleep on a futex. Goals: at most 0.25 of it while both are busy, at most
-- 1.2 of it when the receiver sleeps (here: a millisecond of rest before each); waiting costs no more CPU than on a
-- condition variable (the goal leaves 100 µs per second, 0.01 % of a processor, to noise).

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p2 = {title = "Round trips", sides = {}}

local messages = {
  integer = 42,
  table = {id = 1, name = "some name", ok = true},
}

-- Over there: sends back what comes, until that is false.
local function echo(reply)
  local port <close> = Isolate.ReceivePort()
  reply:send(port.send_port)
  for _, message in port:messages() do
    if not message then break end
    reply:send(message)
  end
end

-- Seconds of a round trip, the mean of `n`, with a rest before each.
local function rally(n, message, rest)
  local port <close> = Isolate.ReceivePort()
  local total = 0
  Isolate.spawn(echo, port.send_port)
  local other = port:receive()
  for _ = 1, n do
    if rest then Isolate.sleep(rest) end
    local start = now()
    other:send(message)
    port:receive()
    total = total + now() - start
  end
  other:send(false)
  return total / n
end

-- Between the main isolate and another.
function p2.sides.main(kind, n, rest)
  return rally(tonumber(n), messages[kind], rest and tonumber(rest))
end

-- Between two spawned ones.
function p2.sides.spawned(kind, n)
  return Isolate.run(rally, tonumber(n), messages[kind]):await()
end

-- CPU seconds per second of waiting, with an isolate that waits as well.
function p2.sides.idle(ms)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(echo, port.send_port)
  local other = port:receive()
  Isolate.sleep(0.1)
  local used = os.clock()
  Isolate.sleep(ms / 1000)
  used = os.clock() - used
  other:send(false)
  return used / (ms / 1000)
end

p2.rows = {
  {
    "integer, both busy", unit = "us", ours = "p2 main integer 50000", floor = "floor futex 20000",
    goal = frame.at_most(0.25),
    others = {
      {"spinning in C", "floor spin 200000"}, {"two spawned", "p2 spawned integer 50000"},
      {"luv", "peers luv_round_trip 20000"}, {"cqueues", "peers cqueues_round_trip 20000"},
    },
  },
  {
    "table, both busy", unit = "us", ours = "p2 main table 50000", floor = "floor futex 20000",
    goal = frame.at_most(0.25), others = {{"two spawned", "p2 spawned table 50000"}},
  },
  {
    "integer, receiver asleep", unit = "us", ours = "p2 main integer 500 0.001", floor = "floor futex 500 1000",
    goal = frame.at_most(1.2),
  },
  {
    "CPU of a second's wait", unit = "us", ours = "p2 idle 1000", floor = "floor idle 1000",
    goal = frame.floor_plus(0.0001),
  },
}

return p2
