-- p8.lua
-- P8, memory: what an idle isolate takes after its first message, with 1,000 and 5,000 alive; descriptors for each; what
-- is left of it when they have ended; how many can live at once, and in a chain where each waits for the next.
-- Floor: a state with its libraries and a parked thread. Goals: 64 KiB, no descriptor, memory back to within 5 % of what
-- they took, 10,000 at once and in a chain. Where the system allows fewer, they are fewer, and stderr says so.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p8 = {title = "Memory", sides = {}}

local function memory()
  return 1024 * frame.status "VmRSS"
end

local function descriptors()
  local status <close> = assert(io.open "/proc/self/stat")
  local pipe <close> = assert(io.popen(("ls /proc/%d/fd | wc -l"):format(status:read "n")))
  return pipe:read "n"
end

-- Over there: answers one message, and waits for another.
local function answer_once(reply)
  local port <close> = Isolate.ReceivePort()
  reply:send(port.send_port)
  reply:send(port:receive())
  port:receive()
end

-- The ports of `n` isolates that have answered one message, or as many as there can be.
local function start(n)
  local port <close> = Isolate.ReceivePort()
  local ports = {}
  for i = 1, n do
    local ok, why = pcall(Isolate.spawn, answer_once, port.send_port)
    if not ok then
      io.stderr:write(("only %d of %d isolates: %s\n"):format(i - 1, n, tostring(why)))
      break
    end
    ports[i] = port:receive()
    ports[i]:send "first"
    port:receive()
  end
  return ports
end

-- Ends them; returns when they have.
local function finish(ports)
  for _, port in ipairs(ports) do port:send "last" end
  while #Isolate.list() > 1 do Isolate.sleep(0.01) end
  Isolate.sleep(0.1)  -- a thread is gone a moment after its isolate
end

-- How much more of what `measure()` tells there is with `n` isolates, for each of them and in all.
local function for_each(n, measure)
  local before = measure()
  local ports = start(tonumber(n))
  local after = measure()
  finish(ports)
  return (after - before) / #ports, after - before
end

function p8.sides.idle(n) return (for_each(n, memory)) end

function p8.sides.descriptors(n) return (for_each(n, descriptors)) end

-- What is left of the memory that `n` isolates took, as a part of that; and as a part of what the process was. (What
-- stands by for the next ones is kept for a second.)
function p8.sides.left(n)
  local function rest()
    Isolate.sleep(1.5)
    for _ = 1, 3 do collectgarbage() end
    return memory()
  end
  local before = memory()
  local _, taken = for_each(n, memory)
  local left = rest() - before
  for_each(n, memory)
  return left / taken, {
    {"of the process before", left / before}, {"after as many again", (rest() - before) / taken},
  }
end

-- How many of `n` could live at once.
function p8.sides.alive(n)
  local begin = now()
  local ports = start(tonumber(n))
  local took = now() - begin
  begin = now()
  finish(ports)
  return #ports, {{"seconds to start", took}, {"to end", now() - begin}}
end

-- Over there: starts the next, and waits for its end; the last one, or who can start no other, says how many there are.
local function be_link(task)
  local next_task = {number = task.number + 1, last = task.last, reply = task.reply}
  local ok, next_link
  if task.number < task.last then ok, next_link = pcall(Isolate.spawn, be_link, next_task) end
  if ok then
    next_link:join()
  else
    task.reply:send {number = task.number, why = next_link and tostring(next_link)}
  end
end

-- How many of `n` could live in a chain.
function p8.sides.nested(n)
  n = tonumber(n)
  local port <close> = Isolate.ReceivePort()
  local begin = now()
  local first = Isolate.spawn(be_link, {number = 1, last = n, reply = port.send_port})
  local reached = port:receive()
  local took = now() - begin
  if reached.why then io.stderr:write(("only %d of %d nested isolates: %s\n"):format(reached.number, n, reached.why)) end
  first:join()
  return reached.number, {{"seconds to start", took}, {"to start and end", now() - begin}}
end

local kib <const> = 1024

p8.rows = {
  {
    "an idle isolate, 1,000 alive", unit = "kib", ours = "p8 idle 1000", floor = "floor parked 1000",
    goal = frame.no_more_than(64 * kib, "64 KiB"),
    others = {{"luv", "peers luv_idle 100"}, {"cqueues", "peers cqueues_idle 100"}},
  },
  {
    "an idle isolate, 5,000 alive", unit = "kib", ours = "p8 idle 5000", floor = "floor parked 5000",
    goal = frame.no_more_than(64 * kib, "64 KiB"), rounds = 3,
  },
  {"descriptors per isolate", unit = "number", ours = "p8 descriptors 1000", goal = frame.no_more_than(0)},
  {
    "memory left after 1,000 ended", unit = "percent", ours = "p8 left 1000",
    goal = frame.no_more_than(0.05, "5 %"),
  },
  {"alive at once", unit = "count", ours = "p8 alive 10000", goal = frame.no_less_than(10000), rounds = 1},
  {"nested in a chain", unit = "count", ours = "p8 nested 10000", goal = frame.no_less_than(10000), rounds = 1},
}

return p8
