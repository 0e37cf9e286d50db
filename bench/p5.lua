-- p5.lua
-- P5, one string of 64 MiB: from the send until it is there, between two spawned isolates, and into the main one; the
-- median of five. Floor: one plain copy into fresh memory. Goals: at most 1.1 of it between spawned ones, at most 1.6
-- into the main one.
-- The message, and the string in a spawned isolate, take the memory of those before them; the string in the main isolate
-- has huge pages of its own. Where a virtual machine gives free memory back to its host (free page reporting), the first
-- use of one that was free for seconds costs 4 ms, and not 0.1.

local Isolate = require "isolate"
local frame = require "bench.frame"
local now = require "system".monotime

local p5 = {title = "A large string", sides = {}}

local TIMES <const> = 5

-- Over there: makes a string of `size` bytes, and sends it with the time of the send whenever it is asked to.
local function send_string(task)
  local port <close> = Isolate.ReceivePort()
  local text = ("x"):rep(task.size)
  task.reply:send(port.send_port)
  for _ = 1, TIMES + 1 do
    port:receive()
    local start = now()
    task.reply:send(text)
    task.reply:send(start)
  end
end

-- Seconds until a string of `size` bytes is here.
local function receive_string(size)
  local port <close> = Isolate.ReceivePort()
  Isolate.spawn(send_string, {size = size, reply = port.send_port})
  local sender, times = port:receive(), {}
  for i = 0, TIMES do  -- the first is not counted
    sender:send "next"
    local text = port:receive()
    local there = now()
    assert(#text == size)
    text = nil  -- luacheck: ignore 311 (the collector looks at it)
    times[i] = there - port:receive()
    collectgarbage()
  end
  return frame.median(times)
end

local function bytes(mib) return tonumber(mib) * 1024 * 1024 end

function p5.sides.spawned(mib)
  return Isolate.run(receive_string, bytes(mib)):await()
end

function p5.sides.main(mib)
  return receive_string(bytes(mib))
end

p5.rows = {
  {
    "64 MiB string, spawned to spawned", unit = "ms", ours = "p5 spawned 64", floor = "floor copy 64",
    goal = frame.at_most(1.1),
    others = {
      {"copy into warm memory", "floor warm_copy 64"}, {"luv", "peers luv_string 64"},
      {"cqueues", "peers cqueues_string 64"},
    },
  },
  {
    "64 MiB string, into the main one", unit = "ms", ours = "p5 main 64", floor = "floor copy 64",
    goal = frame.at_most(1.6),
  },
}

return p5
