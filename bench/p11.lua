-- p11.lua
-- P11, growth: the messages of P3 and the records of P4 over sizes from a hundred to a million, the start of P1 while one
-- to 10,000 isolates live. Each size has its ratio to the floor of the same size; the goal is that the worst of these
-- is at most 1.3 of the best. Small sizes are repeated until they are worth measuring.

local frame = require "bench.frame"
local now = require "system".monotime

local p11 = {title = "Growth: the ratio to the floor from size to size", sides = {}}

-- Over there: waits.
local function idle(reply)
  local Isolate = require "isolate"
  local port <close> = Isolate.ReceivePort()
  reply:send(port.send_port)
  port:receive()
end

-- `Isolate.run` of an empty function, `n` one after the other, while `alive` others wait.
function p11.sides.start(alive, n)
  local Isolate = require "isolate"
  local port <close> = Isolate.ReceivePort()
  local function nothing() end
  local ports = {}
  for i = 1, tonumber(alive) do
    Isolate.spawn(idle, port.send_port)
    ports[i] = port:receive()
  end
  for _ = 1, 20 do Isolate.run(nothing):await() end
  local start = now()
  for _ = 1, n do Isolate.run(nothing):await() end
  local took = now() - start
  for _, other in ipairs(ports) do other:send "end" end
  return took / n
end

local sizes = {100, 1000, 10000, 100000, 1000000}

p11.rows = {
  {
    "integers, bursts of 10² … 10⁶", unit = "rate", sizes = sizes, budget = 500000,
    ours = "p3 integers %d %d", floor = "floor bursts %d %d", goal = frame.at_most(1.3),
  },
  {
    "tables, bursts of 10² … 10⁶", unit = "rate", sizes = sizes, budget = 200000,
    ours = "p3 tables %d %d", floor = "floor bursts %d %d", goal = frame.at_most(1.3),
  },
  {
    "records, 10² … 10⁶ in a message", unit = "ms", sizes = sizes, budget = 100000, rounds = 3, whole = true,
    ours = "p4 total %d %d", floor = "floor records %d %d", goal = frame.at_most(1.3),
  },
  {
    "run, while 1 … 10,000 live", unit = "us", sizes = {1, 10, 100, 1000, 10000}, rounds = 3,
    ours = "p11 start %d 300", floor = "floor thread 300 %d", goal = frame.at_most(1.3),
  },
}

return p11
