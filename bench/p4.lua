-- p4.lua
-- P4, many records: 100,000 of {id, name, value, tags = {2}} from a spawned isolate to the main one.
-- Floor: reading them and building the same in another state through the C API, the collector stopped; for the
-- receiver's part the building alone. Goals: from the send until they are there at most 1.4 of the one, the receiver's
-- part at most 1.2 of the other.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p4 = {sides = {}}

-- Over there: makes `n` records, sends them, and says when it began and had done that.
local function send_records(task)
  local records = {}
  for i = 1, task.n do
    records[i] = {id = i, name = "record " .. i, value = i / 7, tags = {"a" .. i % 100, "b" .. i % 10}}
  end
  collectgarbage()
  local start = now()
  task.reply:send(records)
  task.reply:send {start = start, sent = now()}
end

-- When sending began and ended, and when the records were there.
local function transfer(n)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(send_records, {n = n, reply = port.send_port})
  local records = port:receive()
  local there = now()
  assert(#records == n and records[n].tags[1] == "a" .. n % 100)
  local times = port:receive()
  return times.start, times.sent, there
end

function p4.sides.total(n)
  local start, _, there = transfer(tonumber(n))
  return there - start
end

function p4.sides.receive(n)
  local _, sent, there = transfer(tonumber(n))
  return there - sent
end

p4.rows = {
  {
    "100,000 records", unit = "ms", ours = "p4 total 100000", floor = "floor records 100000", goal = frame.at_most(1.4),
    others = {{"luv, JSON", "peers luv_records 100000"}, {"cqueues, JSON", "peers cqueues_records 100000"}},
  },
  {
    "  the receiver's part", unit = "ms", ours = "p4 receive 100000", floor = "floor build 100000",
    goal = frame.at_most(1.2),
  },
}

return p4
