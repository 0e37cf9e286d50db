-- p4.lua
-- P4, many records: 100,000 of {id, name, value, tags = {2}} from a spawned isolate to the main one.
-- Floor: reading them and building the same in another state through the C API, the collector stopped; for the
-- receiver's part the building alone. Goals: from the send until they are there at most 1.4 of the one, the receiver's
-- part at most 1.2 of the other.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p4 = {title = "Many records", sides = {}}

-- Over there: makes `n` records, and whenever it is asked to sends them, and says when it began and had done that.
local function send_records(task)
  local port <close> = Isolate.ReceivePort()
  local records = {}
  for i = 1, task.n do
    records[i] = {id = i, name = "record " .. i, value = i / 7, tags = {"a" .. i % 100, "b" .. i % 10}}
  end
  collectgarbage()
  task.reply:send(port.send_port)
  for _ = 1, task.times do
    port:receive()
    local start = now()
    task.reply:send(records)
    task.reply:send {start = start, sent = now()}
  end
end

-- Receives `n` records, so many times: how long it took from the beginning and from the end of the send until they
-- were there, the mean.
local function transfer(n, times)
  n, times = tonumber(n), tonumber(times or 1)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(send_records, {n = n, times = times, reply = port.send_port})
  local sender, total, after = port:receive(), 0, 0
  for _ = 1, times do
    sender:send "next"
    local records = port:receive()
    local there = now()
    assert(#records == n and records[n].tags[1] == "a" .. n % 100)
    local when = port:receive()
    total, after = total + there - when.start, after + there - when.sent
    if times > 1 then
      records = nil  -- luacheck: ignore 311 (the collector looks at it)
      collectgarbage()
    end
  end
  return total / times, after / times
end

function p4.sides.total(n, times)
  return (transfer(n, times))
end

function p4.sides.receive(n)
  return select(2, transfer(n))
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
