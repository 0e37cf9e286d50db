-- p1.lua
-- P1, starting: `Isolate.run` of an empty function, one after the other, until its result is back.
-- Floor: a thread, a state with its libraries, closed, joined. Goals: at most 0.45 of it in bursts of
-- 2 × processors + 4, at most 1.2 of it over 2,000 in a row; no standby before the first spawn, and at most eight kept.

local frame = require "bench.frame"
local now = require "system".monotime

local p1 = {title = "Starting", sides = {}}

local function nothing() end

local function run_many(Isolate, n)
  for _ = 1, n do Isolate.run(nothing):await() end
end

-- Bursts of 2 × processors + 4 with a rest before each, so many of them.
function p1.sides.burst(bursts)
  local Isolate = require "isolate"
  local size, total = 2 * Isolate.processors() + 4, 0
  run_many(Isolate, size)
  for _ = 1, bursts do
    Isolate.sleep(0.05)
    local start = now()
    run_many(Isolate, size)
    total = total + now() - start
  end
  return total / bursts / size
end

-- So many in a row.
function p1.sides.sustained(n)
  local Isolate = require "isolate"
  run_many(Isolate, 20)
  local start = now()
  run_many(Isolate, n)
  return (now() - start) / n
end

-- How many threads this process has, after so many isolates and a rest.
function p1.sides.threads(n)
  local Isolate = require "isolate"
  run_many(Isolate, tonumber(n))
  if tonumber(n) > 0 then Isolate.sleep(0.2) end
  return frame.status "Threads"
end

p1.rows = {
  {
    "run, in bursts", unit = "us", ours = "p1 burst 20", floor = "floor thread 500", goal = frame.at_most(0.45),
    others = {
      {"the floor in such bursts", "floor rested 20"}, {"luv", "peers luv_start 500"},
      {"cqueues", "peers cqueues_start 200"},
    },
  },
  {
    "run, 2,000 in a row", unit = "us", ours = "p1 sustained 2000", floor = "floor thread 500",
    goal = frame.at_most(1.2),
  },
  {"threads before the first", unit = "number", ours = "p1 threads 0", goal = frame.no_more_than(1)},
  {"threads after 100", unit = "number", ours = "p1 threads 100", goal = frame.no_more_than(9)},
}

return p1
